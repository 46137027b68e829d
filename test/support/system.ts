import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Knex } from 'knex';
import type { LlmView } from '../../core/llm.ts';
import { createKeys } from '../../core/queue/keys.ts';
import { openRedis } from '../../core/queue/link/connect.ts';
import { keySpaceOf, redisPlaceNames, redisPlaceOf } from '../../core/queue/link/where.ts';
import { ensureAdmin } from '../../core/registry/people/bootstrap.ts';
import { createRegistry, type Registry } from '../../core/registry/registry.ts';
import { pause, systemClock } from '../../core/runtime/clock.ts';
import { readConfig } from '../../core/runtime/settings/config.ts';
import { createLog } from '../../core/runtime/log.ts';
import type { TaskView } from '../../core/task/task.ts';
import { startBackend, type Backend } from './backend.ts';
import { anyRate } from './edge.ts';
import { startProcess, type TestProcess } from './process.ts';
import { programOf } from './program.ts';
import { sandbox, type Sandbox } from './sandbox.ts';

/** One provider of a worker's config.json. */
export interface Offer {
  name: string;
  poolName?: string;
  maxConcurrency?: number;
  backend: Pick<Backend, 'url'>;
  stallSeconds?: number;
  /** Default `openai`. */
  type?: string;
  apiKey?: string;
  /** Default `tiny`. */
  model?: string;
  dropParams?: string[];
  addParams?: Record<string, unknown>;
  renameParams?: Record<string, string>;
  /** The recipe that wakes its backend, and the one that puts it to sleep. */
  wake?: object;
  sleep?: object;
  /** How its worker starts the backend itself. */
  managed?: object;
  idleStopSeconds?: number;
}

/** `sse`: the worker knows nothing of Redis, and has no way to it. */
export type TransportKind = 'redis' | 'sse';
export const transports = ['redis', 'sse'] as const satisfies readonly TransportKind[];

export interface WorkerOptions {
  /** Of an earlier worker: the same session. */
  home?: string;
  env?: Env;
  /** Default: that of the system. */
  transport?: TransportKind;
  /** Where it finds its edge, e.g. a balancer; default: the edge that was started last. */
  url?: string;
  /** A command that runs the one that follows it, e.g. in a network of its own (namespace.ts). */
  through?: readonly string[];
  /** MCP servers of its config.json. */
  mcpServers?: readonly object[];
  /** What is in its config.json beside these. */
  more?: object;
  /** What it has joined with; default: the admin's token. */
  token?: string;
}

export interface WorkerProcess extends TestProcess {
  home: string;
}

export interface EdgeProcess extends TestProcess {
  url: string;
}

/** Edge, scheduler and workers as the Procfile runs them, on a namespace and a schema of their own. */
export interface System {
  sandbox: Sandbox;
  registry: Registry;
  url: string;
  token: string;
  edge: EdgeProcess;
  scheduler: TestProcess;
  backend: Backend;
  /** What its workers take their tasks by, unless told. */
  transport: TransportKind;
  /** `url`, and every `call` that names no other, goes to the one that was started last. */
  startEdge(port?: number, env?: Env): Promise<EdgeProcess>;
  /** Resolves when it leads; one that is to wait behind another (`standby`), when it is ready. */
  startScheduler(options?: { standby?: boolean; env?: Env }): Promise<TestProcess>;
  /** Resolves when it serves. */
  startWorker(offers: readonly Offer[], options?: WorkerOptions): Promise<WorkerProcess>;
  /** An HTTP call as the admin, or as `token`. */
  call(method: string, path: string, options?: CallOptions): Promise<Response>;
  llm(name: string): Promise<LlmView>;
  task(id: string): Promise<TaskView>;
  /** A token of a user who is no admin. */
  tokenFor(user: string): Promise<string>;
  /** SIGKILLs every edge and scheduler. */
  killAll(): Promise<void>;
  /** SIGKILLs every worker. Each that is left over costs a hundredth of a core until the system is closed. */
  killWorkers(): Promise<void>;
  /** Tasks that have not ended, of a pool or of all. */
  openTasks(pool?: string): Promise<number>;
  close(): Promise<void>;
}

type Env = Record<string, string>;

/** What only some of the processes are told, e.g. that their Redis is behind a wire (wire.ts). */
interface PerProcess {
  edge?: Env;
  scheduler?: Env;
  /** What workers take their tasks by, unless told; default `redis`. */
  transport?: TransportKind;
}

/** What a worker is told on a machine that knows nothing of ours. */
const notOfWorkers = [
  'DATABASE_URL',
  'REDIS_URL',
  'MCPCTL_REDIS_NAMESPACE',
  'MCPCTL_PG_SCHEMA',
  'MCPCTL_HOST',
];

export interface CallOptions {
  body?: unknown;
  token?: string | null;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** The edge, or balancer, to ask. */
  at?: { url: string };
}

const adminToken = 'mcpctl_system-tests-0123456789-0123456789';

export async function startSystem(env: Env = {}, only: PerProcess = {}): Promise<System> {
  const box = await sandbox();
  const registry = createRegistry(box.connection);
  await ensureAdmin(registry, adminToken);
  const backend = await startBackend();
  const { transport: usual = 'redis' } = only;
  const processes = new Set<TestProcess>();
  const homes: string[] = [];
  const shared = {
    DATABASE_URL: box.databaseUrl,
    REDIS_URL: box.redisUrl,
    MCPCTL_REDIS_NAMESPACE: box.namespace,
    MCPCTL_PG_SCHEMA: box.schema,
    MCPCTL_HOST: '127.0.0.1',
    MCPCTL_REDIS_WORKERS: '1',
    // Not what is tried but where it is said: a machine that is busy with other tests answers late.
    MCPCTL_SETTLE_WAIT_MS: '20000',
    ...anyRate,
    ...env,
  };
  await markRedisAsOld(shared, box.namespace);
  const servers = new Set<TestProcess>();
  const workers = new Set<TestProcess>();
  const keep = (started: TestProcess): TestProcess => {
    processes.add(started);
    void started.exited.then(() => {
      processes.delete(started);
      workers.delete(started);
    });
    return started;
  };
  const start = (entry: string, more: Env = {}): TestProcess =>
    keep(startProcess(entry, { env: { ...shared, ...more } }));
  let url = '';
  const startEdge = async (port = 0, more = only.edge): Promise<EdgeProcess> => {
    const edge = start(programOf('edge'), { PORT: String(port), ...more });
    servers.add(edge);
    const { port: listens } = await edge.next((line) => line.msg === 'the edge listens');
    url = `http://127.0.0.1:${String(listens)}`;
    return Object.assign(edge, { url });
  };
  const startScheduler: System['startScheduler'] = async ({ standby = false, env: more } = {}) => {
    const scheduler = start(programOf('scheduler'), { ...only.scheduler, ...more });
    servers.add(scheduler);
    if (standby) await scheduler.event('service.ready');
    else await scheduler.event('leader.changed', (line) => line['leading'] === true);
    return scheduler;
  };
  const startWorker: System['startWorker'] = async (offers, options = {}) => {
    const { transport = usual, url: mcpdUrl = url, through = [] } = options;
    const home = options.home ?? (await newHome());
    const { mcpServers, more, token } = options;
    await writeHome(home, { mcpdUrl, offers, mcpServers, more, token });
    const entries = Object.entries(shared).filter(
      ([name]) => transport === 'redis' || !notOfWorkers.includes(name),
    );
    const env = { ...Object.fromEntries(entries), MCPCTL_HOME: home, ...options.env };
    const worker = keep(startProcess(programOf('worker'), { args: ['run'], env, through }));
    workers.add(worker);
    await worker.event('service.ready');
    return Object.assign(worker, { home });
  };
  const newHome = async (): Promise<string> => {
    const home = await mkdtemp(join(tmpdir(), 'mcpctl-worker-'));
    homes.push(home);
    return home;
  };
  const call = async (
    method: string,
    path: string,
    { body, token = adminToken, headers, signal, at }: CallOptions = {},
  ) =>
    await fetch((at?.url ?? url) + path, {
      method,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
  const [edge, scheduler] = await Promise.all([startEdge(), startScheduler()]);
  return {
    sandbox: box,
    registry,
    get url() {
      return url;
    },
    token: adminToken,
    edge,
    scheduler,
    backend,
    transport: usual,
    startEdge,
    startScheduler,
    startWorker,
    call,
    llm: async (name) => (await (await call('GET', `/api/v1/llms/${name}`)).json()) as LlmView,
    task: async (id) => (await (await call('GET', `/api/v1/tasks/${id}`)).json()) as TaskView,
    async tokenFor(user) {
      const { id: userId } = await registry.users.ensure(user, 'user');
      const made = { userId, name: randomUUID(), pools: null, expiresInDays: null, createdBy: null };
      return (await registry.tokens.create(made)).text;
    },
    async killAll() {
      const alive = [...servers].filter((p) => p.child.exitCode === null && p.child.signalCode === null);
      await Promise.all(alive.map((p) => p.kill('SIGKILL')));
      servers.clear();
    },
    async killWorkers() {
      await Promise.all([...workers].map((worker) => worker.kill('SIGKILL')));
    },
    async openTasks(pool) {
      const open = await registry.tasks.openOlderThan(0, { after: null, limit: 1_000 });
      return open.filter(({ poolName }) => pool === undefined || poolName === pool).length;
    },
    async close() {
      await Promise.all([...processes].map((p) => p.kill('SIGKILL')));
      await backend.close();
      await box.close();
      await Promise.all(homes.map((home) => rm(home, { recursive: true, force: true })));
    },
  };
}

/** As if Redis had been there for longer than a lease: then a missing key means that nobody is there. */
async function markRedisAsOld(env: Env, namespace: string): Promise<void> {
  const config = readConfig({ ...env, MCPCTL_REDIS_NAMESPACE: namespace }, redisPlaceNames);
  const redis = openRedis('commands', { ...redisPlaceOf(config), clock: systemClock, log: silent });
  await redis.connect();
  await redis.set(createKeys(keySpaceOf(config)).epoch, '1');
  redis.disconnect();
}

const silent = createLog({ process: 'test', level: 'silent', pretty: false });

async function writeHome(
  home: string,
  {
    mcpdUrl,
    offers,
    mcpServers = [],
    more = {},
    token = adminToken,
  }: {
    mcpdUrl: string;
    offers: readonly Offer[];
    mcpServers?: readonly object[] | undefined;
    more?: object | undefined;
    token?: string | undefined;
  },
): Promise<void> {
  const providers = offers.map(({ backend, ...offer }) => ({
    type: 'openai',
    model: 'tiny',
    publish: true,
    url: backend.url,
    ...offer,
  }));
  await writeFile(join(home, 'config.json'), JSON.stringify({ providers, mcpServers, ...more }));
  await writeFile(join(home, 'credentials'), JSON.stringify({ mcpdUrl, token }), { mode: 0o600 });
}

/** The first looks follow each other so fast; later ones so that a look costs little of what was waited for already. */
const LOOK_MS = 25;
const LONGEST_LOOK_MS = 150;
const SHARE = 1 / 20;

/** Asks again and again until the answer fits; fails after `withinMs` with the last one. */
export async function until<T>(
  ask: () => Promise<T>,
  fits: (answer: T) => boolean,
  withinMs = 20_000,
): Promise<T> {
  const from = performance.now();
  for (;;) {
    const answer = await ask();
    if (fits(answer)) return answer;
    const waitedMs = performance.now() - from;
    if (waitedMs > withinMs)
      throw new TypeError(`not within ${withinMs} ms; the last answer: ${JSON.stringify(answer)}`);
    await pause(Math.min(Math.max(LOOK_MS, waitedMs * SHARE), LONGEST_LOOK_MS));
  }
}

/** Somebody waits for what a transaction holds. It is asked of that one itself, and of locks: of those each look is a new one. */
export async function untilBlocking(trx: Knex.Transaction): Promise<void> {
  const sql = 'select 1 from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))';
  const waiting = async () => (await trx.raw<{ rows: unknown[] }>(sql)).rows.length;
  await until(waiting, (count) => count > 0);
}
