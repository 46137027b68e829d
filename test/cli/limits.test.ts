import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import { createHttp } from '../../cli/net/http.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { openNetwork } from '../../core/runtime/network/network.ts';
import { wireToUrl } from '../support/wire.ts';
import { MOST_INPUT_BYTES, readAll } from '../../cli/input/stdin.ts';
import { task, taskId } from './fixtures.ts';
import { answers, delta, startPeer, type Peer } from './peer.ts';
import { startSession, type Session } from './session.ts';

const MIB = 1024 * 1024;
const mib = Buffer.alloc(MIB, 'a');

const mibs = (most: number): Readable => Readable.from(Array.from({ length: most }, () => mib));

describe('cli: the most that it takes', function () {
  this.timeout(30_000);
  let peer: Peer;
  let s: Session;
  beforeEach(async () => {
    peer = await startPeer();
    s = await startSession(peer.url);
  });
  afterEach(async () => {
    await peer.close();
    await s.close();
  });

  /** It may be left before it is all given. */
  const give = (most: number): Promise<void> => pipeline(mibs(most), s.stdin).catch(() => undefined);

  it('is, on stdin, all that an edge takes: 64 MiB', async () => {
    const [text] = await Promise.all([readAll(s), give(64)]);
    expect(text).to.have.length(64 * MIB);
  });

  it('is no more than what can be sent, on stdin or in a file, and it says so', async () => {
    const over = MOST_INPUT_BYTES / MIB + 1;
    const [code] = await Promise.all([s.run('api', 'POST', '/api/v1/x', '--data', '-'), give(over)]);
    expect(code).to.equal(2);
    expect(s.err()).to.include('There is more than 256 MiB on stdin.');
    const file = join(s.home, 'large.json');
    await writeFile(file, '{');
    await truncate(file, over * MIB);
    expect(await s.run('api', 'POST', '/api/v1/x', '--data', `@${file}`)).to.equal(2);
    expect(s.err()).to.include(`There is more than 256 MiB in ${file}.`);
    expect(peer.requests).to.deep.equal([]);
  });

  it('is, of stdin that does not end, some minutes', async () => {
    s.stdin.write('a');
    const late = await readAll(s, { endsWithinMs: 20 }).catch((why: unknown) => why);
    expect(late).to.have.property('code', 'usage');
    expect(String(late)).to.include('What comes on stdin has not ended within 0 s');
  });

  it('is, of time, silence: what is sent over a slow line takes as long as that takes it', async () => {
    const wire = await wireToUrl(peer.url);
    wire.rate(4 * MIB);
    peer.on('POST /api/v1/prompts', answers(201, { name: 'p' }));
    const http = createHttp({
      ...{ server: wire.url(peer.url).replace(/\/$/, ''), token: 't', tokenFrom: null, version: '0' },
      ...{ network: openNetwork(), clock, trace: () => undefined, signal: new AbortController().signal },
    });
    const call = { method: 'POST', path: '/api/v1/prompts', limitMs: 150 } as const;
    try {
      expect(await http.json({ ...call, body: { content: 'x'.repeat(2 * MIB) } })).to.deep.equal({
        name: 'p',
      });
      expect(peer.requests[0]?.body?.['content']).to.have.length(2 * MIB);
      wire.freeze();
      const silent = http.json({ ...call, body: { content: 'x' } });
      const thrown = await silent.catch((why: unknown) => why);
      expect(thrown).to.have.property('code', 'server_unreachable');
    } finally {
      await wire.close();
    }
  });

  it('is, of an apply, 500 documents; of more, those that others refer to are sent first', async () => {
    peer.on('POST /api/v1/apply', answers(200, { items: [] }));
    const prompts = Array.from({ length: 500 }, (_, n) => `resource: prompt\nname: p${n}\n`);
    const others = ['later', 'agent', 'secret', 'project'].map((word) => `resource: ${word}\nname: a\n`);
    s.stdin.end([...prompts, ...others].join('---\n'));
    expect(await s.run('apply', '-f', '-', '--no-atomic'), s.err()).to.equal(0);
    const sent = peer.requests.map(({ body }) => body?.['documents'] as { resource: string }[]);
    expect(sent.map((documents) => documents.length)).to.deep.equal([500, 4]);
    const words = sent.flat().map(({ resource }) => resource);
    expect([...new Set(words)]).to.deep.equal(['project', 'secret', 'agent', 'prompt', 'later']);
  });

  it('is, of an answer, what a task can be with both its bodies; what is longer is nobody of ours', async () => {
    peer.on('GET /api/v1/whoami', (response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 321 * MIB });
      response.flushHeaders();
    });
    expect(await s.run('whoami')).to.equal(1);
    expect(s.err()).to.include('answers with more than 320 MiB; is it an mcpctl server?');
  });

  it('is, of a line of a stream, more than an answer of 64 MiB takes', async () => {
    const [head = '', tail = ''] = JSON.stringify(delta({ content: '|' })).split('|');
    const end = `data: ${JSON.stringify(delta({}, 'stop'))}\n\ndata: [DONE]\n\n`;
    const path = `GET /api/v1/tasks/${taskId}`;
    peer.on(path, answers(200, { ...task, status: 'completed' }));
    peer.on(`${path}/stream`, async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`data: ${head}`);
      await pipeline(mibs(65), response, { end: false });
      response.end(`${tail}\n\n${end}`);
    });
    expect(await s.run('task', 'logs', taskId)).to.equal(0);
    expect(s.out()).to.have.length(65 * MIB + 1);
  });
});
