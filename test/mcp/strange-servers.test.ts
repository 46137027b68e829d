import { expect } from 'chai';
import { systemClock } from '../../core/runtime/clock.ts';
import { Journal } from '../../worker/mcp/journal.ts';
import { McpProvider } from '../../worker/mcp/provider.ts';
import type { Supervised } from '../../worker/mcp/supervised.ts';
import type { Reply } from '../../worker/providers/provider.ts';
import { note } from '../support/measured.ts';
import { until } from '../support/system.ts';
import { supervise, why, type Supervision } from './supervise.ts';

const CALLS = 20;
const ECHO_MS = 100;
/** Of a body as large as an edge takes. */
const LARGE = 'x'.repeat(8 * 1024 * 1024);

describe('an MCP server that does what nobody expects', function () {
  this.timeout(20_000);
  let servers: Supervision;
  let journal: Journal;
  before(() => {
    servers = supervise();
    journal = Journal.open(servers.at('journal'), systemClock.now());
  });
  after(async () => {
    await servers.close();
    journal.close();
  });
  let calls = 0;
  /** What its worker ends the task of a call with. */
  const run = async (
    supervised: Supervised,
    name: string,
    {
      signal = new AbortController().signal,
      ...given
    }: { signal?: AbortSignal; [given: string]: unknown } = {},
  ): Promise<Reply | undefined> => {
    const provider = new McpProvider({ name: 'mcp.fixture', supervised, journal, clock: systemClock });
    const params = { name, arguments: given };
    const body = JSON.stringify({ method: 'tools/call', params, journal: journal.id });
    const replies: Reply[] = [];
    for await (const reply of provider.run({
      ...{ operation: 'mcp', body, streaming: false, headers: {}, model: 'mcp', stallMs: 10_000 },
      ...{
        signal,
        taskId: String(++calls),
        deliver: () => Promise.resolve(true),
      },
    }))
      replies.push(reply);
    return replies.at(-1);
  };
  const echo = (server: Supervised): Promise<Reply | undefined> => run(server, 'echo', { message: 'hi' });
  const echoed = { kind: 'end', status: 200, body: '{"result":{"content":[{"type":"text","text":"hi"}]}}' };

  it('is heard once, whatever else it answers', async () => {
    const server = servers.open();
    const first = await run(server, 'twice');
    expect(first).to.have.property('body').that.includes('first');
    for (let n = 0; n < 5; n += 1) expect(await echo(server)).to.deep.equal(echoed);
  });

  it('is heard to its last word', async () => {
    const answer = await run(servers.open(), 'last-words');
    expect(answer).to.have.property('body').with.length.above(150_000);
  });

  it('ends when it has closed its output, as nobody hears it any more', async () => {
    const server = servers.open([], { callSeconds: 60 });
    expect(await run(server, 'closes-output'))
      .to.have.property('message')
      .that.includes('it closed its output');
    expect(await echo(server)).to.deep.equal(echoed);
  });

  it('may answer in no form at all: that is said, and at once', async () => {
    const server = servers.open([], { callSeconds: 60 });
    for (const name of ['says-no', 'deep'])
      expect(await run(server, name)).to.include({
        code: 'mcp_server_failed',
        message: "The MCP server 'fixture' answered in no form that is known; the tool has run.",
      });
  });

  it('may begin in no form at all, or with a long word: why is one short sentence', async () => {
    const refused = async (begins: object): Promise<string> => {
      const server = servers.open(['--begins', JSON.stringify(begins)]);
      await why(server.ready(new AbortController().signal));
      return server.reason ?? '';
    };
    expect(await refused({ result: 5 })).to.equal(
      'it answered initialize in no form that is known (tried again in 1 s)',
    );
    const long = await refused({ error: { code: 1, message: `no\n\u001b[31m${'x'.repeat(100_000)}` } });
    expect(long).to.match(/^it refused to begin: no \[31mx+ \(tried again in 1 s\)$/);
    expect(long).to.have.length.below(500);
  });

  it('may read nothing: what is asked of it is bounded, and it is begun anew', async () => {
    const server = servers.open([], {
      callSeconds: 0.1,
      healthCheck: { everySeconds: 0.01, withinSeconds: 1 },
    });
    await run(server, 'reads-nothing');
    const { pid } = server;
    const saids: unknown[] = [];
    for (let n = 0; n < 12; n += 1) saids.push(await run(server, 'echo', { message: LARGE }));
    expect(saids.at(-1)).to.deep.include({
      code: 'mcp_server_down',
      message: "The MCP server 'fixture' does not run: it does not read what it is asked.",
    });
    server.lookAfter();
    await until(
      () => Promise.resolve(server.state),
      (state) => state === 'failed',
    );
    expect(server.reason).to.include('it no longer answered');
    await until(
      () => echo(server),
      (reply) => reply?.kind === 'end',
    );
    expect(server.pid).to.not.equal(pid);
  });

  it('may print without end what is no message, asks, or tells, or a line byte by byte: another of its worker is heard meanwhile', async function () {
    const printed = [
      'no message at all\n',
      '{"jsonrpc":"2.0","id":"p","method":"ping"}\n',
      '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n',
    ];
    const loud = [...printed, ''].map(() => servers.open());
    const other = servers.open();
    await Promise.all([...loud, other].map(echo));
    const printing = loud.map((server, n) =>
      n < printed.length
        ? run(server, 'prints', { printed: printed[n] })
        : run(server, 'trickles', { most: 100_000 }),
    );
    const spans: number[] = [];
    for (let n = 0; n < CALLS; n += 1) {
      const from = systemClock.elapsed();
      expect(await echo(other)).to.deep.equal(echoed);
      spans.push(systemClock.elapsed() - from);
    }
    note(this, spans);
    expect(spans.sort((a, b) => a - b)[CALLS / 2]).to.be.below(ECHO_MS);
    await Promise.all(loud.map((server) => server.stop()));
    for (const reply of await Promise.all(printing)) expect(reply).to.include({ code: 'outcome_unknown' });
  });
});
