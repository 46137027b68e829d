import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import type { Measured } from '../../bench/load/job.ts';
import { runJob } from '../../bench/load/run.ts';

const token = (n: number): string => `data: {"choices":[{"delta":{"content":"word ${String(n)} 1.5 "}}]}\n\n`;
const tokens = (...numbers: number[]): string => numbers.map(token).join('');
const DONE = 'data: [DONE]\n\n';

/** What the bench's client makes of an answer decides what the figures mean: nothing that is missing may pass as whole. */
describe('the client of the bench', () => {
  let server: Server;
  let answer: (res: ServerResponse) => void;

  before(async () => {
    server = createServer((req, res) => req.resume().on('end', () => answer(res)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });

  async function called(
    answers: typeof answer,
    job: { tokens?: number; calls?: number } = {},
  ): Promise<Measured> {
    answer = answers;
    const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/v1/chat/completions`;
    const targets = [{ url, headers: { authorization: 'Bearer x' } }];
    const [measured] = await runJob({ targets, bodies: ['{}'], concurrency: 1, calls: 1, ...job });
    if (!measured) throw new Error('nothing was found');
    return measured;
  }
  const streamed =
    (...pieces: string[]) =>
    (res: ServerResponse): void => {
      for (const piece of pieces) res.write(piece);
      res.end();
    };

  it('reads a whole stream, in whatever pieces it comes', async () => {
    const text = `: hello\n\n${tokens(0, 1)}id: 1-3\n${tokens(2)}${DONE}`;
    for (const pieces of [[text], [...text]]) {
      const measured = await called(streamed(...pieces), { tokens: 3 });
      expect(measured.why).to.deep.equal([]);
      expect(measured).to.include({ calls: 1, lost: 0, tokens: 3 });
      expect([measured.total, measured.first, measured.gap].map(({ length }) => length)).to.deep.equal([
        1, 1, 1,
      ]);
      expect(measured.lag).to.have.length(3);
    }
  });

  it('reads answers by their length too, and keeps the connection', async () => {
    const sockets = new Set<unknown>();
    const measured = await called(
      (res) => {
        sockets.add(res.socket);
        res.setHeader('content-length', 2).end('{}');
      },
      { calls: 3 },
    );
    expect(measured).to.include({ calls: 3, lost: 0 });
    expect(sockets.size).to.equal(1);
  });

  const faults: [string, (res: ServerResponse) => void, RegExp][] = [
    ['a token is missing at the end', streamed(tokens(0, 1), DONE), /2 of 3 tokens/],
    ['a token is missing in the middle', streamed(tokens(0, 2), DONE), /token 2 where 1 was due/],
    ['two tokens changed places', streamed(tokens(1, 0, 2), DONE), /token 1 where 0 was due/],
    ['a token came twice', streamed(tokens(0, 1, 1, 2), DONE), /token 1 where 2 was due/],
    [
      'two tokens share a frame',
      streamed(tokens(0, 1).trimEnd().replace('\n\n', '\n'), `\n\n${tokens(2)}`, DONE),
      /token 2 where 1 was due/,
    ],
    ['there is no end mark', streamed(tokens(0, 1, 2)), /no \[DONE\]/],
    [
      'an error frame ends it',
      streamed(tokens(0, 1, 2), 'data: {"error":{"code":"worker_lost"}}\n\n'),
      /worker_lost/,
    ],
    ['the status says no', (res) => res.writeHead(503).end('{"error":"nobody"}'), /status 503: .*nobody/],
    ['the connection breaks', (res) => res.write(token(0), () => res.destroy()), /closed in the middle/],
  ];
  for (const [title, answers, why] of faults) {
    it(`counts a stream as lost when ${title}`, async () => {
      const measured = await called(answers, { tokens: 3, calls: 2 });
      expect(measured).to.include({ calls: 2, lost: 2 });
      expect(measured.total).to.deep.equal([]);
      expect(measured.why[0]).to.match(why);
    });
  }
});
