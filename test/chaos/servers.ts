import { cpSync, lstatSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import { pause, systemClock as clock } from '../../core/runtime/clock.ts';
import { homeAt } from '../../core/runtime/files/home.ts';
import { startGuarded, type Guarded } from '../../start/keep/guarded.ts';
import { findPostgres } from '../../start/stores/postgres.ts';
import { findRedis } from '../../start/stores/redis.ts';
import type { Found, Say } from '../../start/server.ts';
import { byPort } from '../support/services.ts';
import { startSentinelTrio, startSmallCluster, type FollowedRedis } from '../support/redis-servers.ts';

/** A Redis or Postgres of chaos's own, to be killed and started again on the same port. */
export interface ChaosServer {
  url: string;
  pid(): number;
  isUp(): boolean;
  start(): Promise<void>;
  /** Sends a signal to the server itself; `gone` waits for its end. */
  signal(signal: NodeJS.Signals): void;
  gone(): Promise<void>;
  stop(): Promise<void>;
}

export interface ChaosServers {
  redis: ChaosServer & {
    wipe(): void;
    /** Keeps what is on its disk now. */
    keep(): void;
    /** Its disk holds again what was kept; only while it is down. */
    turnBack(): void;
  };
  postgres: ChaosServer;
  /** Which the product uses instead of `redis`, which idles then. */
  followed: FollowedRedis | null;
  /** Starts what a fault left dead, so that the next one finds both. */
  restore(): Promise<void>;
  stop(): Promise<void>;
}

/** Kinds of Redis that the product may be run over. */
export const redisKinds = ['single', 'sentinel', 'cluster'] as const;
export type RedisKind = (typeof redisKinds)[number];

const startFollowed = (kind: RedisKind): Promise<FollowedRedis> | null =>
  kind === 'single' ? null : kind === 'sentinel' ? startSentinelTrio() : startSmallCluster();

const READY_MS = 60_000;
const quiet = (): void => undefined;

/** Found, installed if need be, and started by the code of `npm start`; in a temporary folder. */
export async function startServers(
  env: NodeJS.ProcessEnv,
  say: Say,
  kind: RedisKind = 'single',
): Promise<ChaosServers> {
  const folder = await mkdtemp(join(tmpdir(), 'mcpctl-chaos-'));
  const home = homeAt(folder);
  const base = { home, path: env['PATH'] ?? '', url: undefined, say, clock };
  const [redis, postgres] = await Promise.all([
    findRedis({ ...base, verifyTls: true }).then(controlled),
    findPostgres({ ...base, npm: ['npm'] }).then(controlled),
  ]);
  const [files, kept] = [join(home.data, 'redis'), join(folder, 'redis-kept')];
  const wipe = (): void => rmSync(files, { recursive: true, force: true });
  const keep = (): void => {
    rmSync(kept, { recursive: true, force: true });
    // A Redis of ours listens on a socket there too, which is no file.
    const filter = (path: string): boolean => !lstatSync(path).isSocket();
    cpSync(files, kept, { recursive: true, filter });
  };
  const turnBack = (): void => {
    wipe();
    cpSync(kept, files, { recursive: true });
  };
  let followed = await startFollowed(kind);
  return {
    redis: { ...redis, wipe, keep, turnBack },
    postgres,
    get followed() {
      return followed;
    },
    async restore() {
      await followed?.close();
      followed = await startFollowed(kind);
      for (const server of [redis, postgres]) if (!server.isUp()) await server.start();
    },
    async stop() {
      await Promise.all([redis.stop(), postgres.stop(), followed?.close()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function controlled({ url, server }: Found): Promise<ChaosServer> {
  if (!server) throw new McpctlError('setup_failed', 'Chaos needs servers of its own.');
  let running: Guarded | undefined;
  let pid = 0;
  let up = false;
  const start = async (): Promise<void> => {
    const output: string[] = [];
    running = startGuarded({ spec: await server.prepare(), line: (text) => output.push(text) });
    void running.exited.then(() => (up = false));
    const began = await running.pid;
    if (began === undefined) throw new McpctlError('setup_failed', `${server.name} could not be started`);
    pid = began;
    server.started(began);
    for (const until = clock.elapsed() + READY_MS; !(await server.isReady()); await pause(20)) {
      if (clock.elapsed() < until) continue;
      throw new McpctlError(
        'setup_failed',
        `${server.name} is not ready; it said: ${output.slice(-5).join('; ')}`,
      );
    }
    up = true;
  };
  await start();
  return {
    url: byPort(url),
    pid: () => pid,
    isUp: () => up,
    start,
    signal: (signal) => void process.kill(pid, signal),
    gone: async () => void (await running?.exited),
    async stop() {
      if (up) process.kill(pid, 'SIGCONT'); // one that was stopped does not hear the rest
      await running?.stop().catch(quiet);
    },
  };
}
