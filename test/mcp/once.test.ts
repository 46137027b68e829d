import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  Client as NewerClient,
  StreamableHTTPClientTransport as NewerTransport,
} from '@modelcontextprotocol/client';
import { expect } from 'chai';
import { quantile } from '../../bench/report/stats.ts';
import { pause } from '../../core/runtime/clock.ts';
import { startBalancer } from '../support/balancer.ts';
import { loseRedis } from '../support/lose-redis.ts';
import { programOf } from '../support/program.ts';
import {
  startSystem,
  transports,
  until,
  type EdgeProcess,
  type System,
  type TransportKind,
  type WorkerProcess,
} from '../support/system.ts';
import { hello } from './streamed.ts';
import { fixture } from './supervise.ts';
import { watchAt } from './traffic/watched.ts';

/** MCPCTL_ROUNDS=60: both edges are begun anew, one after the other, for so many seconds under 20 calls a second. */
const ROLLING_S = Number(process.env['MCPCTL_ROUNDS'] ?? 0);
/** Of the clients of one era. */
const EACH_MS = 100;

/** The program of mcp-remote, as `npx` runs it. */
const mcpRemote = (): string =>
  join(dirname(createRequire(import.meta.url).resolve('mcp-remote/package.json')), 'dist/proxy.js');

interface Outcome {
  text: string;
  code: unknown;
}

/** The referee is a file: the server writes a line into it as it runs a call. */
describe('a call of a tool runs at most once, whoever is killed', function () {
  this.timeout(90_000);
  let t: System;
  let folder: string;
  let counter: string;
  const workers = new Map<TransportKind, WorkerProcess>();
  let edge: EdgeProcess;
  let second: EdgeProcess | undefined;
  const anotherEdge = async (): Promise<void> => {
    const port = Number(new URL(edge.url).port);
    await edge.kill('SIGKILL');
    edge = await t.startEdge(port);
  };
  const start = async (transport: TransportKind): Promise<void> => {
    const home = workers.get(transport)?.home;
    const args = [fixture, '--counter', counter, '--stays'];
    const mcpServers = [{ name: `by-${transport}`, command: process.execPath, args, slots: 2 }];
    workers.set(
      transport,
      await t.startWorker([], { transport, mcpServers, ...(home === undefined ? {} : { home }) }),
    );
  };
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mcp-'));
    counter = join(folder, 'counter');
    writeFileSync(counter, '');
    t = await startSystem({ MCPCTL_LEASE_MS: '3000', MCPCTL_HEARTBEAT_MS: '1000', MCPCTL_SWEEP_MS: '300' });
    ({ edge } = t);
    await Promise.all(transports.map(start));
    for (const transport of transports)
      await until(
        async () => (await t.call('GET', `/api/v1/servers/by-${transport}`)).status,
        (status) => status === 200,
      );
    const servers = transports.map((transport) => ({ server: `by-${transport}` }));
    expect((await t.call('POST', '/api/v1/projects', { body: { name: 'demo', servers } })).status).to.equal(
      201,
    );
  });
  after(async () => {
    await t.close();
    rmSync(folder, { recursive: true });
  });

  const ran = (label: string): number =>
    readFileSync(counter, 'utf8')
      .split('\n')
      .filter((line) => line === label).length;
  const running = (...labels: readonly string[]) =>
    until(
      () => Promise.resolve(labels.map(ran)),
      (times) => times.every((n) => n === 1),
    );
  const post = (name: string, given: object, headers: Record<string, string> = {}) =>
    t.call('POST', '/mcp/projects/demo', {
      body: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: given } },
      headers,
    });
  const outcomeOf = async (answer: Promise<Response>): Promise<Outcome> => {
    const { result } = (await (await answer).json()) as {
      result: { content: [{ text: string }]; _meta?: Record<string, unknown> };
    };
    return { text: result.content[0].text, code: result._meta?.['mcpctl.dev/code'] ?? null };
  };
  /** By all transports at once: what one waits for the other waits for, too. */
  const onEach = async (act: (transport: TransportKind) => Promise<void>): Promise<void> => {
    await Promise.all(transports.map(act));
  };
  /** The worker of the relay comes back to the edge that is there now. */
  const relayIsBack = (): Promise<string> =>
    until(
      async () => (await outcomeOf(post('by-sse__echo', { message: 'here' }))).text,
      (text) => text === 'here',
      20_000,
    );
  const processesOf = (): number[] =>
    execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.includes(counter) && !line.includes('ps -eo'))
      .map((line) => Number.parseInt(line, 10));

  it('not again when the server dies under it', () =>
    onEach(async (transport) => {
      const label = `server-${transport}`;
      const calling = outcomeOf(post(`by-${transport}__count`, { label, ms: 60_000, die: true }));
      expect((await calling).code).to.equal('outcome_unknown');
      expect((await outcomeOf(post(`by-${transport}__count`, { label: `${label}-next` }))).text).to.equal(
        'counted',
      );
      expect([label, `${label}-next`].map(ran)).to.deep.equal([1, 1]);
    }));

  it('on to its end when its edge is killed, and another edge has the answer', async () => {
    const keys = new Map(
      transports.map((transport) => [transport, { 'idempotency-key': `edge-${transport}` }]),
    );
    const call = (transport: TransportKind) =>
      post(`by-${transport}__count`, { label: `edge-${transport}`, ms: 1_500 }, keys.get(transport));
    const broken = transports.map((transport) =>
      call(transport).then(
        () => 'answered',
        () => 'broken',
      ),
    );
    await running(...transports.map((transport) => `edge-${transport}`));
    await anotherEdge();
    expect(await Promise.all(broken)).to.deep.equal(['broken', 'broken']);
    await onEach(async (transport) => {
      expect((await outcomeOf(call(transport))).text).to.equal('counted');
      expect(ran(`edge-${transport}`)).to.equal(1);
    });
  });

  it('by a client over stdio, too, whose edge is another one now', async () => {
    const client = new Client({ name: 'test', version: '1' });
    const home = workers.get('redis')?.home ?? '';
    await client.connect(
      new StdioClientTransport({
        command: process.execPath,
        args: [programOf('worker'), 'mcp', 'connect', 'demo'],
        env: { PATH: process.env['PATH'] ?? '', MCPCTL_HOME: home },
      }),
    );
    const names = (await client.listTools()).tools.map(({ name }) => name);
    expect(names).to.include.members(['by-redis__count', 'by-sse__echo']);
    const calling = client.callTool({ name: 'by-redis__count', arguments: { label: 'stdio', ms: 1_000 } });
    await running('stdio');
    await anotherEdge();
    expect((await calling).content).to.deep.equal([{ type: 'text', text: 'counted' }]);
    expect(ran('stdio')).to.equal(1);
    await client.close();
    const env = { PATH: process.env['PATH'] ?? '', MCPCTL_HOME: home };
    const byHand = [programOf('cli'), 'call', 'demo', 'by-redis__echo', 'message=by hand'];
    expect(execFileSync(process.execPath, byHand, { env, encoding: 'utf8' })).to.equal('by hand\n');
  });

  it('by mcp-remote, too, whose session goes on at the edge that is there then', async () => {
    const headers = join(folder, 'headers');
    writeFileSync(headers, `Authorization: Bearer ${t.token}\n`, { mode: 0o600 });
    const client = new Client({ name: 'test', version: '1' });
    const at = `${edge.url}/mcp/projects/demo`;
    await client.connect(
      new StdioClientTransport({
        command: process.execPath,
        args: [mcpRemote(), at, '--header-file', headers, '--silent'],
        env: { PATH: process.env['PATH'] ?? '', HOME: folder, MCP_REMOTE_CONFIG_DIR: folder },
        stderr: 'ignore',
      }),
    );
    const count = (label: string, ms = 1): Promise<string> =>
      client.callTool({ name: 'by-redis__count', arguments: { label, ms } }).then(
        ({ content }) => JSON.stringify(content),
        (thrown: unknown) => String(thrown),
      );
    const counted = JSON.stringify([{ type: 'text', text: 'counted' }]);
    try {
      const { tools } = await client.listTools();
      expect(tools.map(({ name }) => name)).to.include.members(['by-redis__count', 'by-sse__echo']);
      expect(await count('remote')).to.equal(counted);
      const calling = count('remote-cut', 1_500);
      await running('remote-cut');
      await anotherEdge();
      // What it had open it gives up by itself; nobody runs it again.
      expect(await calling).to.be.oneOf([counted, 'McpError: MCP error -32001: mcp-remote: fetch failed']);
      expect(await count('remote-next')).to.equal(counted);
      expect(['remote', 'remote-cut', 'remote-next'].map(ran)).to.deep.equal([1, 1, 1]);
    } finally {
      await client.close();
    }
  });

  it('and is seen at another edge, with its task and times, by who watches there, who holds up nobody', async () => {
    second = await t.startEdge();
    await relayIsBack();
    const [watch, stalled] = [await watchAt(edge.url, t.token), await watchAt(edge.url, t.token)];
    stalled.pause();
    await onEach(async (transport) => {
      const name = `by-${transport}__count`;
      const answer = await post(name, { label: `watched-${transport}`, ms: 50 });
      const seen = await watch.exchange((one) => one.name === name);
      expect(seen).to.deep.include({
        ...{ server: `by-${transport}`, tool: 'count', outcome: 'ok', status: 200 },
        taskId: answer.headers.get('x-mcpctl-task-id'),
      });
      const { queue, start, run, total } = seen.ms;
      for (const span of [queue, start, run]) expect(span, JSON.stringify(seen.ms)).to.be.a('number');
      expect(run).to.be.at.least(45);
      expect(total).to.be.at.least(run ?? Infinity);
    });
    for (const one of [watch, stalled]) one.close();
  });

  it('and 32 of a token are open at both edges together, of which a killed one has none', async () => {
    const killed = second ?? (await t.startEdge());
    const begun = async (): Promise<number> => {
      const { db } = t.sandbox.connection;
      const [row] = await db('tasks').where({ pool_name: 'mcp.by-redis' }).count<{ count: string }[]>();
      return Number(row?.count);
    };
    const before = await begun();
    const left = new AbortController();
    const call = (n: number) =>
      t.call('POST', '/mcp/projects/demo', {
        body: {
          ...{ jsonrpc: '2.0', id: 1, method: 'tools/call' },
          params: { name: 'by-redis__count', arguments: { label: `crowd-${String(n)}`, ms: 60_000 } },
        },
        ...{ at: n % 2 === 0 ? killed : edge, signal: left.signal },
      });
    const crowd = Array.from({ length: 60 }, (_, n) => call(n).catch(() => null));
    expect(await until(begun, (n) => n >= before + 32)).to.equal(before + 32);
    await killed.kill('SIGKILL');
    second = undefined;
    // What it had begun may go on; no place is kept for it.
    expect(await until(begun, (n) => n > before + 32, 30_000)).to.be.at.most(before + 32 + 30);
    left.abort();
    await Promise.all(crowd);
    await until(
      async () => {
        const open = await t.registry.tasks.openOlderThan(0, { after: null, limit: 1_000 });
        await Promise.all(open.map(({ id }) => t.call('DELETE', `/api/v1/tasks/${id}`, { at: edge })));
        return open.length;
      },
      (n) => n === 0,
      20_000,
    );
  });

  it('through a rolling restart of both edges, with clients of both eras whom nobody connects again', async function () {
    this.timeout(90_000 + ROLLING_S * 2_000);
    const edges = [edge, second ?? (await t.startEdge())];
    const balancer = await startBalancer(edges.map(({ url }) => ({ url })));
    const at = new URL(`${balancer.url}/mcp/projects/demo`);
    const how = { requestInit: { headers: { authorization: `Bearer ${t.token}` } } };
    const older = new Client({ name: 'test', version: '1' });
    await older.connect(new StreamableHTTPClientTransport(at, how));
    const newer = new NewerClient({ name: 'test', version: '2' }, { versionNegotiation: { mode: 'auto' } });
    await newer.connect(new NewerTransport(at, how));
    let over = false;
    const ends: { label: string; outcome: string; ms: number }[] = [];
    /** What the SDK throws is an outcome too. */
    const oneCall = async (label: string, call: (label: string) => Promise<unknown>): Promise<void> => {
      const from = performance.now();
      const outcome = await call(label).then(
        (result) => JSON.stringify(result),
        (thrown: unknown) =>
          `thrown ${String(thrown)} ${thrown instanceof Error ? String(thrown.cause) : ''}`,
      );
      ends.push({ label, outcome, ms: performance.now() - from });
    };
    /** One after the other, or so many a second whatever becomes of them, until it is over. */
    const calling = async (kind: string, call: (label: string) => Promise<unknown>): Promise<void> => {
      const open: Promise<void>[] = [];
      for (let n = 0; !over; n += 1) {
        const one = oneCall(`roll-${kind}-${String(n)}`, call);
        if (ROLLING_S === 0) await one;
        else await pause(EACH_MS);
        open.push(one);
      }
      await Promise.all(open);
    };
    const given = (label: string) => ({
      name: 'by-redis__count',
      arguments: { label, ms: 40 },
    });
    const callers = [
      calling('older', (label) => older.callTool(given(label))),
      calling('newer', (label) => newer.callTool(given(label))),
    ];
    let restarts = 0;
    const more = async (): Promise<void> => {
      const from = ends.length;
      const went = ({ outcome }: { outcome: string }): boolean => outcome.includes('"text":"counted"');
      await until(
        () =>
          Promise.resolve(
            ['older', 'newer'].map(
              (kind) => ends.slice(from).filter((end) => end.label.includes(kind) && went(end)).length,
            ),
          ),
        (each) => each.every((n) => n >= 3),
        20_000,
      );
    };
    const endsAt = performance.now() + ROLLING_S * 1_000;
    do
      for (const [n, old] of edges.entries()) {
        await more();
        const port = Number(new URL(old.url).port);
        await old.kill('SIGTERM');
        edges[n] = await t.startEdge(port);
        restarts += 1;
      }
    while (performance.now() < endsAt);
    await more();
    over = true;
    await Promise.all(callers);
    edge = edges[0] ?? edge;
    await Promise.all([older.close(), newer.close()]);
    await balancer.close();
    // An edge that leaves takes no new call, says so with a code, and has given it to nobody.
    const [counted, refused] = [/"text":"counted"/, /"code":"shutting_down"/];
    const isEither = ({ outcome }: { outcome: string }): boolean =>
      counted.test(outcome) || refused.test(outcome);
    expect(ends.filter((end) => !isEither(end))).to.deep.equal([]);
    for (const { label, outcome } of ends) expect(ran(label), label).to.equal(counted.test(outcome) ? 1 : 0);
    const went = ends.filter(({ outcome }) => counted.test(outcome));
    expect(went.length).to.be.at.least(3 * 6);
    const tookMs = went.map(({ ms }) => ms);
    const within = (share: number) => `${quantile(tookMs, share).toFixed(0)} ms`;
    const cut = String(ends.length - went.length);
    const numbers = `${String(ends.length)} calls, ${String(restarts)} restarts, ${cut} refused, p50 ${within(0.5)}, p99 ${within(0.99)}`;
    if (this.test) this.test.title += ` (${numbers})`;
  });

  it('as often as Redis comes back empty, those that wait as well, and with the worker killed in between', async () => {
    await relayIsBack();
    const begun = await t.call('POST', '/mcp/projects/demo', {
      body: { jsonrpc: '2.0', id: 0, method: 'initialize', params: hello },
    });
    const headers = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? expect.fail('no session') };
    const listed = async (): Promise<unknown> => {
      const body = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
      return (await t.call('POST', '/mcp/projects/demo', { body, headers })).json();
    };
    const list = await listed();
    const label = (kind: string, transport: TransportKind, n: number) => `${kind}-${transport}-${String(n)}`;
    const calls = transports.flatMap((transport) =>
      [0, 1, 2, 3, 4].map((n) => {
        const given = { label: label('lost', transport, n), ms: 1_500 };
        return { given, transport, answer: outcomeOf(post(`by-${transport}__count`, given)) };
      }),
    );
    await until(
      () => Promise.resolve(calls.filter(({ given }) => ran(given.label) === 1).length),
      (n) => n === 4,
    );
    const ranThen = new Set(calls.map(({ given }) => given.label).filter((one) => ran(one) === 1));
    await loseRedis(t.sandbox);
    expect(await listed(), 'a list asks no worker, and a session is its id').to.deep.equal(list);
    const killed = workers.get('redis');
    await killed?.kill('SIGKILL');
    await start('redis');
    for (const { given, transport, answer } of calls) {
      const { text, code } = await answer;
      expect(ran(given.label), given.label).to.equal(1);
      // What waited runs; of what ran nobody may know, and nobody does where its worker was killed under it.
      const wasRunning = ranThen.has(given.label);
      if (wasRunning && transport === 'redis') expect(code).to.equal('outcome_unknown');
      else if (!wasRunning || code === null)
        expect([text, code], given.label).to.deep.equal(['counted', null]);
      else expect(code).to.equal('outcome_unknown');
    }
    expect(await listed()).to.deep.equal(list);
    await until(
      () => Promise.resolve(processesOf()),
      (pids) => pids.length === 2,
    );
  });
});
