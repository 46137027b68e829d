import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { McpctlError } from '../../core/errors.ts';
import { openRedis } from '../../core/queue/link/connect.ts';
import { createKeys } from '../../core/queue/keys.ts';
import { keySpaceOf, redisPlaceNames, redisPlaceOf } from '../../core/queue/link/where.ts';
import { ensureAdmin } from '../../core/registry/people/bootstrap.ts';
import { connect } from '../../core/registry/database/connect.ts';
import { migrate } from '../../core/registry/database/migrate.ts';
import { createRegistry } from '../../core/registry/registry.ts';
import { pause, systemClock } from '../../core/runtime/clock.ts';
import { readConfig } from '../../core/runtime/settings/config.ts';
import { createLog } from '../../core/runtime/log.ts';
import { redisUrlsOf } from '../../core/runtime/settings/redis.ts';
import { freePort } from '../../start/port.ts';
import { startBalancer, type Balancer } from '../support/balancer.ts';
import { anyRate } from '../support/edge.ts';
import type { TransportKind } from '../support/system.ts';
import { wireToUrl, type Wire } from '../support/wire.ts';
import { programOf } from '../support/program.ts';
import { startChaosBackend, type ChaosBackend } from './backend.ts';
import { createCallers, type Callers } from './caller.ts';
import type { Journal } from './journal.ts';
import { run, type Running } from './processes.ts';
import { createRows, type Rows } from './rows.ts';
import type { ChaosServers } from './servers.ts';
import { startThreads } from './threads.ts';
import { openCounter, startTools, toolServer, type Counter } from './tools.ts';

/** A process of the product with the wires that stand between it and what it speaks to. */
export interface Part<W extends string> {
  name: string;
  process: Running;
  wires: Record<W, Wire>;
}
export type EdgePart = Part<'redis' | 'postgres'> & { url: string };
export type SchedulerPart = Part<'redis' | 'postgres'>;
/** `tasks`: between it and what it takes its tasks from, which is Redis, or the balancer before the edges. */
export type WorkerPart = Part<'tasks' | 'backend'> & { backend: ChaosBackend; solo: string };

type AnyPart = EdgePart | SchedulerPart | WorkerPart;

/** Two edges, two schedulers, three workers with a scripted backend each, with wires between. */
export interface World {
  servers: ChaosServers;
  edges: readonly [EdgePart, EdgePart];
  schedulers: readonly [SchedulerPart, SchedulerPart];
  workers: readonly [WorkerPart, WorkerPart, WorkerPart];
  callers: Callers;
  /** Threads of one agent over the pool `wide`, that callers chat in. */
  threads: readonly [string, ...string[]];
  rows: Rows;
  /** What the MCP servers of the workers have run. */
  counter: Counter;
  /** Where an edge listens, and with which token one calls there. */
  at: { url: (edge: string) => string; token: string };
  redis: Redis;
  /** What all keys begin with. */
  keySpace: string;
  /** Multiplies every bound: 1 on a quiet machine. */
  patience: number;
  journal: Journal;
  /** Where the processes log that were started with the world. */
  folder: string;
  /** What must be in no log and no answer. */
  secrets: readonly string[];
  /** Starts a part again after its process has ended; resolves when it serves. */
  restart(part: AnyPart): Promise<void>;
  /** The first living edge, `preferred` if it lives. */
  edge(preferred?: string): EdgePart;
  /** The scheduler that leads; undefined while none does. */
  leader(): SchedulerPart | undefined;
  close(): Promise<void>;
}

/** Pools: `wide` has all three workers, `pair` the first two, `solo-n` one each. */
export const pools = ['wide', 'pair', 'solo-1', 'solo-2', 'solo-3'] as const;
const SLOTS = 80;
const stallSeconds = 3;
const adminToken = 'mcpctl_chaos-0123456789-0123456789-01234';
const MIGRATION_MS = 60_000;
const READY_MS = 60_000;

export interface WorldDeps {
  servers: ChaosServers;
  journal: Journal;
  patience: number;
  /** Puts the wires between; without them it is less work for a small machine, and they can do nothing. */
  wired?: boolean;
  /** What the workers take their tasks by; `sse`: from whichever edge a balancer gives them. */
  transport?: TransportKind;
}

export async function startWorld(deps: WorldDeps): Promise<World> {
  const { servers, journal, patience, wired = false, transport = 'redis' } = deps;
  const id = randomBytes(4).toString('hex');
  const log = createLog({ process: 'chaos', level: 'silent', pretty: false });
  const space = { MCPCTL_REDIS_NAMESPACE: `c_${id}` };
  const shared = {
    ...{ ...space, MCPCTL_PG_SCHEMA: `c_${id}`, MCPCTL_HOST: '127.0.0.1', ...anyRate },
    MCPCTL_REDIS_WORKERS: transport === 'redis' ? '1' : '0',
  };
  const connection = connect({
    ...{ databaseUrl: servers.postgres.url, schema: `c_${id}`, poolSize: 2, log },
    queryTimeoutMs: MIGRATION_MS,
  });
  await migrate(connection, id);
  await ensureAdmin(createRegistry(connection), adminToken);
  const { env: redisEnv = { REDIS_URL: servers.redis.url } } = servers.followed ?? {};
  const config = readConfig({ ...redisEnv, ...space }, redisPlaceNames);
  const redis = servers.followed
    ? openRedis('commands', { ...redisPlaceOf(config), clock: systemClock, log })
    : new Redis(servers.redis.url, { retryStrategy: () => 50, maxRetriesPerRequest: null });
  redis.on('error', () => undefined); // it is killed on purpose
  if (servers.followed) await redis.connect();
  const keySpace = keySpaceOf(config);
  await redis.set(createKeys(keySpace).epoch, '1');

  const wires: Wire[] = [];
  const homes: string[] = [];
  const wireBefore = async (url: string): Promise<Wire> => {
    const wire = await wireToUrl(url);
    wires.push(wire);
    return wire;
  };
  const through = (wire: Wire, url: string): string => (wired ? wire.url(url) : url);
  const stores = async () => ({
    redis: await wireBefore(servers.redis.url),
    postgres: await wireBefore(servers.postgres.url),
  });
  const urls = (between: Record<'redis' | 'postgres', Wire>) => ({
    ...(servers.followed ? redisEnv : { REDIS_URL: through(between.redis, servers.redis.url) }),
    DATABASE_URL: through(between.postgres, servers.postgres.url),
  });
  const book = { journal };
  const counter = openCounter(journal.folder);
  const folder = (): string => book.journal.folder;

  const launch = new Map<string, () => Running>();
  const makeEdge = async (name: string): Promise<EdgePart> => {
    const between = await stores();
    const port = await freePort();
    const env = { ...shared, ...urls(between), PORT: String(port), MCPCTL_KEEPALIVE_MS: '5000' };
    launch.set(name, () => run({ name, entry: programOf('edge'), env, folder: folder() }));
    return { name, process: begin(name), wires: between, url: `http://127.0.0.1:${String(port)}` };
  };
  const makeScheduler = async (name: string): Promise<SchedulerPart> => {
    const between = await stores();
    const env = { ...shared, ...urls(between) };
    launch.set(name, () => run({ name, entry: programOf('scheduler'), env, folder: folder() }));
    return { name, process: begin(name), wires: between };
  };
  const makeWorker = async (n: number, edge: { url: string }): Promise<WorkerPart> => {
    const name = `w${String(n)}`;
    const backend = await startChaosBackend(name, () => book.journal);
    const source = transport === 'sse' ? edge.url : servers.redis.url;
    const between = { tasks: await wireBefore(source), backend: await wireBefore(backend.url) };
    const from = through(between.tasks, source);
    const edgeUrl = transport === 'sse' ? from : edge.url;
    const home = await mkdtemp(join(tmpdir(), 'mcpctl-chaos-worker-'));
    homes.push(home);
    await writeHome(home, { n, counter, edgeUrl, backendUrl: through(between.backend, backend.url) });
    const atRedis = servers.followed ? redisEnv : { REDIS_URL: from };
    const env = { MCPCTL_HOME: home, ...(transport === 'sse' ? {} : { ...space, ...atRedis }) };
    launch.set(name, () => run({ name, entry: programOf('worker'), args: ['run'], env, folder: folder() }));
    return { name, process: begin(name), wires: between, backend, solo: `solo-${String(n)}` };
  };
  const begin = (name: string): Running => {
    const start = launch.get(name);
    if (!start) throw new McpctlError('internal', `${name} is no part of this world`);
    return start();
  };

  const edges = [await makeEdge('e1'), await makeEdge('e2')] as const;
  const schedulers = [await makeScheduler('s1'), await makeScheduler('s2')] as const;
  const parts: AnyPart[] = [...edges, ...schedulers];
  const edge = (preferred?: string): EdgePart =>
    edges.find(({ name, process }) => name === preferred && process.isAlive()) ??
    edges.find(({ process }) => process.isAlive()) ??
    edges[0];
  const leader = (): SchedulerPart | undefined =>
    schedulers.find(
      ({ process }) => process.isAlive() && process.events('leader.changed').at(-1)?.['leading'] === true,
    );
  const at = {
    token: adminToken,
    url: (name: string): string => edges.find((each) => each.name === name)?.url ?? '',
  };
  const callers = createCallers({
    ...at,
    journal: () => book.journal,
    anyUrl: (name) => edge(name).url,
  });
  const backends: ChaosBackend[] = [];
  let balancer: Balancer<EdgePart> | undefined;
  const close = async (): Promise<void> => {
    await Promise.all(parts.map(async ({ process }) => process.isAlive() && (await process.end('SIGKILL'))));
    callers.close();
    await balancer?.close();
    await Promise.all([...wires, ...backends].map((each) => each.close()));
    redis.disconnect();
    await connection.close();
    await Promise.all(homes.map((home) => rm(home, { recursive: true, force: true })));
  };
  const untilServes = async (part: AnyPart): Promise<void> => {
    const until = performance.now() + READY_MS * patience;
    while (!(await serves({ callers, edge, leader, patience }, part))) {
      const late = performance.now() > until;
      if (!late && part.process.isAlive()) await pause(100);
      else
        throw new McpctlError(
          'setup_failed',
          `${part.name} ${late ? 'does not serve' : 'ended'}; see ${folder()}`,
        );
    }
  };
  const worker = async (n: number, at: { url: string }): Promise<WorkerPart> => {
    const part = await makeWorker(n, at);
    backends.push(part.backend);
    parts.push(part);
    return part;
  };
  try {
    await Promise.all(parts.map(untilServes));
    // Only now: a worker that finds no edge waits for seconds before it asks again.
    if (transport === 'sse') balancer = await startBalancer(edges);
    const workers = [
      await worker(1, balancer ?? edges[0]),
      await worker(2, balancer ?? edges[1]),
      await worker(3, balancer ?? edges[0]),
    ] as const;
    await Promise.all(workers.map(untilServes));
    const rows = createRows(connection);
    const taken = await rows.transports();
    // An edge that offers no Redis lets them in all the same, through itself: then this would be a trial of something else.
    if (taken.length !== workers.length || taken.some((kind) => kind !== transport))
      throw new McpctlError(
        'setup_failed',
        `The workers take tasks over ${taken.join(', ')}, not ${transport}`,
      );
    const threads = await startThreads(edges[0].url, adminToken);
    await startTools(at, { edge: edges[0].name, within: patience });
    return {
      ...{ threads, counter, at },
      ...{ servers, edges, schedulers, workers, callers, redis, keySpace, patience, edge, leader, close },
      rows,
      folder: journal.folder,
      secrets: [adminToken, ...backends.map(({ url }) => url), ...passwordsIn(servers)],
      get journal() {
        return book.journal;
      },
      set journal(next) {
        book.journal = next;
      },
      async restart(part) {
        part.process = begin(part.name);
        await untilServes(part);
        if ('url' in part) book.journal.world({ what: 'edge-up', edge: part.name });
      },
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

const passwordsIn = ({ redis, postgres, followed }: ChaosServers): string[] =>
  [redis.url, postgres.url, ...(followed ? redisUrlsOf(followed.env['REDIS_URL'] ?? '') : [])]
    .map((url) => new URL(url).password)
    .filter(Boolean);

async function writeHome(
  home: string,
  { n, counter, edgeUrl, backendUrl }: { n: number; counter: Counter; edgeUrl: string; backendUrl: string },
): Promise<void> {
  const base = {
    ...{ type: 'openai', model: 'tiny', publish: true, url: backendUrl },
    ...{ maxConcurrency: SLOTS, stallSeconds },
  };
  const member = (pool: string) => ({ ...base, name: `${pool}-${String(n)}`, poolName: pool });
  const providers = [
    member('wide'),
    ...(n < 3 ? [member('pair')] : []),
    { ...base, name: `solo-${String(n)}` },
  ];
  await writeFile(
    join(home, 'config.json'),
    JSON.stringify({ providers, mcpServers: [toolServer(n, counter)] }),
  );
  const credentials = JSON.stringify({ mcpdUrl: edgeUrl, token: adminToken });
  await writeFile(join(home, 'credentials'), credentials, { mode: 0o600 });
}

let warmUps = 0;

/** An edge that is ready, schedulers of which one leads, a worker that answers a call. */
async function serves(
  world: Pick<World, 'callers' | 'edge' | 'leader' | 'patience'>,
  part: AnyPart,
): Promise<boolean> {
  if ('url' in part) {
    const answer = await fetch(`${part.url}/readyz`, { signal: AbortSignal.timeout(2_000) }).catch(
      () => null,
    );
    return answer?.ok === true;
  }
  if (!('backend' in part)) return world.leader() !== undefined;
  warmUps += 1;
  const script = { canary: `warm-${String(warmUps)}`, pieces: 1, gapMs: 0 };
  const order = { door: 'infer', mode: 'whole', pool: part.solo, edge: world.edge().name, script } as const;
  const { done } = world.callers.place({ ...order, boundMs: READY_MS * world.patience, probe: true });
  return (await done).completed;
}
