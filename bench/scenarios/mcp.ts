import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import { Child } from '../../worker/mcp/child.ts';
import { freePort } from '../../start/port.ts';
import { keepExtra } from '../product/extras.ts';
import { nowMs } from '../report/clock.ts';
import { memoryOf } from '../report/process.ts';
import { quantile, spread, summary } from '../report/stats.ts';
import { startBenchWorker } from '../product/worker.ts';
import type { Bench, Comparison, Result, Scenario } from './scenario.ts';

const SERVERS = 10;
const AT_ONCE = 64;
const [ROUNDS, CALLS, LISTS] = [5, 40, 40];
const WITHIN_MS = 60_000;
const REVISION = '2025-11-25';
const clientInfo = { name: 'bench', version: '1' };
const program = createRequire(import.meta.url).resolve(
  '@modelcontextprotocol/server-everything/dist/index.js',
);
const answerSchema = z.looseObject({ result: z.looseObject({}) });

const transports = ['redis', 'sse'] as const;
/** By its transport, as is its project: each worker has a journal of its own, and so servers of its own. */
type Transport = (typeof transports)[number];
const serverOf = (transport: Transport, n: number): string => `${transport}-${String(n)}`;

interface Beside {
  /** @returns how long a call took. */
  echo: () => Promise<number>;
  stop: () => Promise<void>;
}

/** The same server behind a proxy that does nothing but pass messages on, a process of its own. */
async function openProxied(): Promise<Beside> {
  const port = String(await freePort());
  const proxy = fileURLToPath(new URL('../peers/mcp-proxy.mjs', import.meta.url));
  const child = spawn(process.execPath, [proxy, port, program, 'stdio'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const exited = once(child, 'exit');
  const stop = async (): Promise<void> => {
    child.stdin.end(); // it ends its server, and itself
    await exited;
    stopped();
  };
  const stopped = keepExtra(stop);
  const ready = once(child.stdout, 'data', { signal: AbortSignal.timeout(WITHIN_MS) });
  await Promise.race([ready, exited]);
  const ask = async (method: string, params: object): Promise<number> => {
    const from = nowMs();
    const answer = await fetch(`http://127.0.0.1:${port}/`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
      signal: AbortSignal.timeout(WITHIN_MS),
    });
    answerSchema.parse(JSON.parse(await answer.text()));
    return nowMs() - from;
  };
  await ask('initialize', { protocolVersion: REVISION, capabilities: {}, clientInfo });
  return { echo: () => ask('tools/call', { name: 'echo', arguments: { message: 'x' } }), stop };
}

/** The same server, by hand: what the way through edge, queue and worker adds is measured against this. */
async function openDirect(): Promise<Beside> {
  const unwatched = { watch: () => Promise.resolve(), forget: () => undefined }; // ended below
  const child = new Child({
    ...{
      command: process.execPath,
      args: [program, 'stdio'],
      cwd: undefined,
      env: {},
      secrets: new Map<string, string>(),
    },
    ...{
      guard: unwatched,
      onExit: () => undefined,
      onListChanged: () => undefined,
      onUpdated: () => undefined,
    },
  });
  const ask = async (method: string, params: object): Promise<void> => {
    const answer = await child.request(method, params, {
      withinMs: WITHIN_MS,
      signal: AbortSignal.timeout(WITHIN_MS),
    });
    answerSchema.parse(answer);
  };
  await ask('initialize', { protocolVersion: REVISION, capabilities: {}, clientInfo });
  child.notify('notifications/initialized', {});
  return {
    async echo() {
      const from = nowMs();
      await ask('tools/call', { name: 'echo', arguments: { message: 'x' } });
      return nowMs() - from;
    },
    stop: () => child.stop(),
  };
}

interface At {
  bench: Bench;
  transport: Transport;
}

/** Asks the product's endpoint, and times it to the last byte. @throws McpctlError `bad_answer` for anything but a result. */
async function ask({ bench, transport }: At, method: string, params: object): Promise<number> {
  const { url, token } = bench.system;
  const from = nowMs();
  const answer = await fetch(`${url}/mcp/projects/${transport}`, {
    method: 'POST',
    headers: {
      ...{ authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...{ accept: 'application/json, text/event-stream', 'mcp-protocol-version': REVISION },
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    signal: AbortSignal.timeout(WITHIN_MS),
  });
  const text = await answer.text();
  const ms = nowMs() - from;
  if (!answer.ok || !text.includes('"result"') || text.includes('"isError":true'))
    throw new McpctlError('bad_answer', `${method}: status ${answer.status}, ${text.slice(0, 200)}`);
  return ms;
}

const echo = (at: At, n = 0): Promise<number> =>
  ask(at, 'tools/call', { name: `${serverOf(at.transport, n)}__echo`, arguments: { message: 'x' } });

async function project({ bench, transport }: At): Promise<void> {
  const { url, token } = bench.system;
  const servers = Array.from({ length: SERVERS }, (_, n) => ({ server: serverOf(transport, n) }));
  const until = nowMs() + WITHIN_MS;
  for (;;) {
    const { status } = await fetch(`${url}/api/v1/projects`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: transport, servers }),
      signal: AbortSignal.timeout(WITHIN_MS),
    });
    if (status < 300) return;
    if (nowMs() > until) throw new McpctlError('setup_failed', `The servers were not published: ${status}.`);
    await pause(200); // each is published once its tools are known
  }
}

/** Resident megabytes of those whom a process has started. */
function childrenMb(pid: number): number {
  const children = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8').split(' ');
  return children
    .filter((child) => child !== '')
    .reduce((sum, child) => sum + memoryOf(Number(child)).rssMb, 0);
}

async function measured(at: At): Promise<Result> {
  const { bench, transport } = at;
  const { quick, system, backend } = bench;
  const [rounds, calls, lists, idleMs] = quick ? [1, 2, 2, 50] : [ROUNDS, CALLS, LISTS, 15_000];
  const mcpServers = Array.from({ length: SERVERS }, (_, n) => ({
    ...{ name: serverOf(transport, n), command: process.execPath, args: [program, 'stdio'], slots: AT_ONCE },
  }));
  const offer = { names: [], backendUrl: backend.url, transport, mcpServers };
  const [worker, direct, proxied] = await Promise.all([
    startBenchWorker(system, offer),
    openDirect(),
    openProxied(),
  ]);
  try {
    await project(at);
    for (let n = 0; n < SERVERS; n++) await echo(at, n);
    await pause(idleMs);
    const memory = [memoryOf(worker.pid).rssMb, childrenMb(worker.pid)] as const;
    const [mine, theirs, passed]: [number[][], number[][], number[][]] = [[], [], []];
    const together: number[][] = [];
    for (let round = 0; round < rounds; round++) {
      const [through, alone, plain]: [number[], number[], number[]] = [[], [], []];
      for (let n = 0; n < calls; n++) {
        through.push(await echo(at));
        alone.push(await direct.echo());
        plain.push(await proxied.echo());
      }
      mine.push(through);
      theirs.push(alone);
      passed.push(plain);
      together.push(await Promise.all(Array.from({ length: quick ? 2 : AT_ONCE }, () => echo(at))));
    }
    const listed: number[] = [];
    for (let n = 0; n < lists; n++) listed.push(await ask(at, 'tools/list', {}));
    const added = (to: string, beside: readonly number[][], share: number): Comparison => ({
      ...{ what: `${transport}: added to an echo ${to}, p${String(share * 100)}`, unit: 'ms' },
      ...spread(mine.map((through, n) => quantile(through, share) - quantile(beside[n] ?? [], share))),
    });
    return {
      rows: [
        { what: `${transport}: echo, over stdio alone`, summary: summary(theirs) },
        { what: `${transport}: echo, through a plain proxy`, summary: summary(passed) },
        { what: `${transport}: echo, through a project`, summary: summary(mine) },
        { what: `${transport}: ${String(AT_ONCE)} at once`, summary: summary(together) },
        { what: `${transport}: tools/list of ${String(SERVERS)} servers`, summary: summary([listed]) },
        { what: `${transport}: the worker, resident`, unit: 'MB', summary: summary([[memory[0]]]) },
        {
          what: `${transport}: its ${String(SERVERS)} servers, resident`,
          unit: 'MB',
          summary: summary([[memory[1]]]),
        },
      ],
      comparisons: [0.5, 0.99].flatMap((share) => [
        added('over stdio', theirs, share),
        added('through a plain proxy', passed, share),
      ]),
      derived: {},
      calls: rounds * (calls + AT_ONCE) + SERVERS,
    };
  } finally {
    await Promise.all([worker.stop(), direct.stop(), proxied.stop()]);
  }
}

async function run(bench: Bench): Promise<Result> {
  const results: Result[] = [];
  for (const transport of transports) results.push(await measured({ bench, transport }));
  return {
    rows: results.flatMap(({ rows }) => rows),
    comparisons: results.flatMap(({ comparisons = [] }) => comparisons),
    derived: {},
    calls: results.reduce((sum, { calls }) => sum + calls, 0),
  };
}

export const mcp: Scenario = {
  name: 'mcp',
  about:
    'A call of a tool through a project: edge, queue, worker, the server over stdio, and back, beside the same server called over ' +
    'stdio alone, and through a plain proxy of one process, one at a time in turn; 64 at once; the list of ten servers; the memory of a worker and its ten idle servers.',
  run,
};
