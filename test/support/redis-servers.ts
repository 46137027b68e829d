import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { pause } from '../../core/runtime/clock.ts';
import { freePort } from '../../start/port.ts';
import { redisBinary, type RedisBinary } from '../../start/redis-binary.ts';

/** A Redis, Valkey or Sentinel of a test's own: no guard keeps it, as it is there to be killed. */
export interface Server {
  port: number;
  child: ChildProcess;
  /** As its administrator; it does not reconnect for ever. */
  redis: Redis;
  kill(signal: NodeJS.Signals): Promise<void>;
}

const PASSWORD = 'of-these-servers';

/** `MCPCTL_TEST_REDIS_SERVER`: the path of another program, as Valkey's, than the one that `npm start` finds. */
async function binaryOf(env: NodeJS.ProcessEnv): Promise<RedisBinary> {
  const path = env['MCPCTL_TEST_REDIS_SERVER'] ?? '';
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
      password: args.includes('--sentinel') ? undefined : PASSWORD,
      enableReadyCheck: false,
      disableClientInfo: true,
      maxRetriesPerRequest: null,
      retryStrategy: () => 25,
    });
    redis.on('error', () => undefined);
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const server: Server = {
      port,
      child,
      redis,
      async kill(signal) {
        child.kill(signal);
        await gone;
      },
    };
    this.#all.add(server);
    await redis.ping();
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

/** A primary, a replica and three Sentinels that fail over within seconds. */
export interface SentinelTrio {
  servers: RedisServers;
  data: [Server, Server];
  sentinels: Server[];
  /** What processes are told to find it. */
  env: Record<'REDIS_URL' | 'REDIS_SENTINELS' | 'REDIS_SENTINEL_NAME', string>;
  /** Who is the primary, as the first Sentinel has it. */
  primary(): Promise<Server>;
  close(): Promise<void>;
}

const NAME = 'the-primary';

export async function startSentinelTrio(): Promise<SentinelTrio> {
  const servers = new RedisServers();
  const first = await servers.start(data);
  const second = await servers.start([...data, `replicaof 127.0.0.1 ${first.port}`]);
  await untilSaid(second, 'replication', /master_link_status:up/);
  const watch = [
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
  return {
    servers,
    data: [first, second],
    sentinels,
    env: {
      REDIS_URL: `redis://:${PASSWORD}@127.0.0.1:${first.port}`,
      REDIS_SENTINELS: sentinels.map(({ port }) => `127.0.0.1:${port}`).join(),
      REDIS_SENTINEL_NAME: NAME,
    },
    async primary() {
      const answer = await sentinels[0]?.redis.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME);
      const port = Array.isArray(answer) ? Number(answer[1]) : 0;
      return port === second.port ? second : first;
    },
    close: () => servers.close(),
  };
}

/** Polls: a replica has no event for it. */
export async function untilSaid({ redis }: Server, section: string, what: RegExp): Promise<void> {
  while (!what.test(await redis.info(section))) await pause(25);
}
