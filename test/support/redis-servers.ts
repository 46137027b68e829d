import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { pause } from '../../core/runtime/clock.ts';
import { freePort } from '../../start/port.ts';
import { redisBinary, type RedisBinary } from '../../start/stores/redis-binary.ts';

/** A Redis, Valkey or Sentinel of a test's own: no guard keeps it, as it is there to be killed. */
export interface Server {
  port: number;
  child: ChildProcess;
  /** As its administrator; it does not reconnect for ever. */
  redis: Redis;
  kill(signal: NodeJS.Signals): Promise<void>;
}

const PASSWORD = 'of-these-servers';

/** `TEST_REDIS_SERVER`: the path of another program, as Valkey's, than the one that `npm start` finds. */
async function binaryOf(env: NodeJS.ProcessEnv): Promise<RedisBinary> {
  const path = env['TEST_REDIS_SERVER'] ?? '';
  if (path !== '') return { path, argv0: path, version: 'as given' };
  return await redisBinary({ path: env.PATH ?? '', say: () => undefined });
}

/** Starts servers on loopback in a folder that goes with them. */
export class RedisServers {
  readonly password = PASSWORD;
  readonly #folder = mkdtempSync(join(tmpdir(), 'mcpctl-servers-'));
  readonly #all = new Set<Server>();
  readonly #atExit = (): void => this.#killAll();

  constructor() {
    process.once('exit', this.#atExit);
  }

  /** @param lines of its configuration, beside port and password. Resolves when it answers. */
  async start(lines: readonly string[], args: readonly string[] = []): Promise<Server> {
    const { path, argv0 } = await binaryOf(process.env);
    const port = await freePort();
    const folder = mkdtempSync(join(this.#folder, 'one-'));
    const config = join(folder, 'server.conf');
    const own = ['bind 127.0.0.1', `port ${port}`, `dir ${folder}`, 'loglevel warning', 'logfile ""'];
    writeFileSync(config, [...own, ...lines, ''].join('\n'), { mode: 0o600 });
    const child = spawn(path, [config, ...args], { argv0, stdio: 'ignore' });
    const redis = new Redis({
      port,
      password: PASSWORD,
      enableReadyCheck: false,
      disableClientInfo: true,
      maxRetriesPerRequest: null,
      retryStrategy: () => 25,
    });
    redis.on('error', () => undefined);
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const server: Server = {
      port,
      child,
      redis,
      async kill(signal) {
        child.kill(signal);
        await ended;
      },
    };
    this.#all.add(server);
    const gone = new Promise<never>((_, reject) => {
      child.once('exit', (code) =>
        reject(new TypeError(`the server on port ${port} ended with ${String(code)}`)),
      );
    });
    gone.catch(() => undefined);
    await Promise.race([redis.ping(), gone]);
    return server;
  }

  async close(): Promise<void> {
    process.off('exit', this.#atExit);
    for (const { redis } of this.#all) redis.disconnect();
    this.#killAll();
    await Promise.all([...this.#all].map((server) => server.kill('SIGKILL')));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #killAll(): void {
    for (const { child } of this.#all) child.kill('SIGKILL');
  }
}

const data = [
  `requirepass ${PASSWORD}`,
  `masterauth ${PASSWORD}`,
  'save ""',
  'repl-diskless-sync yes',
  'repl-diskless-sync-delay 0',
  'repl-ping-replica-period 1',
  'maxmemory-policy noeviction',
];

/** A Redis with replicas, that processes find by more than one address. */
export interface FollowedRedis {
  /** What processes are told to find it. */
  env: Record<string, string>;
  /** SIGKILLs the primary that has these keys. @returns what happened, when another one has taken over. */
  failOver(key: string): Promise<string>;
  /** Where that can be: gives these keys to another primary that lives. */
  moveSlot?(key: string): Promise<Server>;
  close(): Promise<void>;
}

/** A primary, a replica and three Sentinels that fail over within seconds. */
export interface SentinelTrio extends FollowedRedis {
  servers: RedisServers;
  data: [Server, Server];
  sentinels: Server[];
  env: Record<'REDIS_URL' | 'REDIS_SENTINELS' | 'REDIS_SENTINEL_NAME', string>;
  /** Who is the primary, as the first Sentinel has it. */
  primary(): Promise<Server>;
}

const NAME = 'the-primary';

export async function startSentinelTrio(): Promise<SentinelTrio> {
  const servers = new RedisServers();
  const first = await servers.start(data);
  const second = await servers.start([...data, `replicaof 127.0.0.1 ${first.port}`]);
  await untilSaid(second, 'replication', /master_link_status:up/);
  const watch = [
    `requirepass ${PASSWORD}`,
    `sentinel sentinel-pass ${PASSWORD}`,
    `sentinel monitor ${NAME} 127.0.0.1 ${first.port} 2`,
    `sentinel auth-pass ${NAME} ${PASSWORD}`,
    `sentinel down-after-milliseconds ${NAME} 500`,
    `sentinel failover-timeout ${NAME} 2000`,
  ];
  const sentinels = await Promise.all([1, 2, 3].map(() => servers.start(watch, ['--sentinel'])));
  for (const { redis } of sentinels)
    for (;;) {
      const text = String(await redis.call('INFO', 'sentinel'));
      if (text.includes('slaves=1,sentinels=3')) break;
      await pause(50);
    }
  const primary = async (): Promise<Server> => {
    const answer = await sentinels[0]?.redis.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME);
    const port = Array.isArray(answer) ? Number(answer[1]) : 0;
    return port === second.port ? second : first;
  };
  return {
    servers,
    data: [first, second],
    sentinels,
    env: {
      REDIS_URL: `redis://:${PASSWORD}@127.0.0.1:${first.port}`,
      REDIS_SENTINELS: sentinels.map(({ port }) => `redis://:${PASSWORD}@127.0.0.1:${port}`).join(),
      REDIS_SENTINEL_NAME: NAME,
    },
    primary,
    async failOver() {
      const now = await primary();
      return await takeOver(now, now === first ? second : first);
    },
    close: () => servers.close(),
  };
}

async function takeOver(primary: Server, replica: Server): Promise<string> {
  const from = performance.now();
  await primary.kill('SIGKILL');
  await untilSaid(replica, 'replication', /role:master/);
  const ms = Math.round(performance.now() - from);
  return `the primary (pid ${String(primary.child.pid)}) is gone; its replica took over after ${ms} ms`;
}

/** Polls: a replica has no event for it. */
async function untilSaid({ redis }: Server, section: string, what: RegExp): Promise<void> {
  while (!what.test(await redis.info(section))) await pause(25);
}

/** Three primaries, each with a replica, that are a Redis Cluster. */
export interface SmallCluster extends FollowedRedis {
  env: Record<'REDIS_URL', string>;
  /** Who has the slot of this key, as most nodes that live say. */
  ownerOf(key: string): Promise<Server>;
  /** The replica of a primary. */
  replicaOf(primary: Server): Server;
  /** Moves the slot of this key to another primary, key by key, as an operator's tools do. @returns the new owner. */
  moveSlot(key: string): Promise<Server>;
}

const SLOTS = 16_384;
const PRIMARIES = 3;

export async function startSmallCluster(): Promise<SmallCluster> {
  const servers = new RedisServers();
  const lines = [
    ...data,
    'cluster-enabled yes',
    'cluster-node-timeout 1000',
    'cluster-replica-validity-factor 0',
  ];
  // Not the port + 10,000: that is among those which systems take for outgoing connections.
  const buses = new Map<Server, number>();
  const nodes: Server[] = [];
  for (let n = 0; n < 2 * PRIMARIES; n++) {
    const bus = await freePort();
    const node = await servers.start([...lines, `cluster-port ${bus}`]);
    nodes.push(node);
    buses.set(node, bus);
  }
  const primaries = nodes.slice(0, PRIMARIES);
  const cluster = ({ redis }: Server, ...words: (string | number)[]): Promise<unknown> =>
    redis.call('CLUSTER', ...words);
  const ids = new Map<Server, string>();
  for (const [n, node] of nodes.entries()) {
    await cluster(node, 'SET-CONFIG-EPOCH', n + 1);
    ids.set(node, String(await cluster(node, 'MYID')));
    const [first = node] = nodes;
    if (n > 0) await cluster(node, 'MEET', '127.0.0.1', first.port, buses.get(first) ?? 0);
  }
  const bound = (n: number): number => Math.floor((n * SLOTS) / PRIMARIES);
  for (const [n, node] of primaries.entries())
    await cluster(node, 'ADDSLOTSRANGE', bound(n), bound(n + 1) - 1);
  for (const node of nodes) await untilIn(node, /cluster_known_nodes:6/);
  const replicaOf = (primary: Server): Server => nodes[nodes.indexOf(primary) + PRIMARIES] ?? primary;
  for (const node of primaries) {
    const replica = replicaOf(node);
    while (!(await cluster(replica, 'REPLICATE', ids.get(node) ?? '').catch(() => false))) await pause(50);
    await untilSaid(replica, 'replication', /master_link_status:up/);
  }
  for (const node of nodes) await untilIn(node, /cluster_state:ok/);

  const ownerOf = async (key: string): Promise<Server> => {
    for (const node of nodes) {
      if (node.child.signalCode !== null) continue;
      const slot = Number(await cluster(node, 'KEYSLOT', key));
      const ranges = (await cluster(node, 'SLOTS')) as [number, number, [string, number]][];
      const [, , at] = ranges.find(([from, to]) => from <= slot && slot <= to) ?? [];
      const owner = nodes.find(({ port }) => port === at?.[1]);
      if (owner) return owner;
    }
    throw new TypeError('no node knows who has that slot');
  };
  return {
    env: {
      REDIS_URL: `redis://:${PASSWORD}@${primaries.map(({ port }) => `127.0.0.1:${port}`).join()}`,
    },
    ownerOf,
    replicaOf,
    async failOver(key) {
      const owner = await ownerOf(key);
      return await takeOver(owner, replicaOf(owner));
    },
    async moveSlot(key) {
      const from = await ownerOf(key);
      const to = primaries.find((node) => node !== from && node.child.signalCode === null) ?? from;
      const slot = Number(await cluster(from, 'KEYSLOT', key));
      await cluster(to, 'SETSLOT', slot, 'IMPORTING', ids.get(from) ?? '');
      await cluster(from, 'SETSLOT', slot, 'MIGRATING', ids.get(to) ?? '');
      for (;;) {
        const keys = (await cluster(from, 'GETKEYSINSLOT', slot, 10)) as string[];
        if (keys.length === 0) break;
        await from.redis.call(
          'MIGRATE',
          '127.0.0.1',
          to.port,
          '',
          0,
          5_000,
          'AUTH',
          PASSWORD,
          'KEYS',
          ...keys,
        );
      }
      for (const node of [to, from]) await cluster(node, 'SETSLOT', slot, 'NODE', ids.get(to) ?? '');
      return to;
    },
    close: () => servers.close(),
  };
}

async function untilIn({ redis }: Server, what: RegExp): Promise<void> {
  while (!what.test(String(await redis.call('CLUSTER', 'INFO')))) await pause(25);
}
