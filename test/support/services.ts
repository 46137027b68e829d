import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../core/runtime/clock.ts';
import { homeAt } from '../../core/runtime/files/home.ts';
import { keepServer, type Kept } from '../../start/keep/keep.ts';
import type { GuardSpec } from '../../start/guard/spec.ts';
import { findPostgres } from '../../start/stores/postgres.ts';
import { findRedis } from '../../start/stores/redis.ts';
import type { Found, Say } from '../../start/server.ts';

/** The Redis and the Postgres that a test run uses. */
export interface TestServices {
  redisUrl: string;
  databaseUrl: string;
  stop(): Promise<void>;
}

/** Where a server of `npm start` is by its port: tests put wires before it, and say other hosts and users. */
export const byPort = (url: string): string => url.replace(/\?.*$/, '');

const quiet = (): void => undefined;
const same = (place: Found): Found => place;

/** What a server of `npm start` is begun with, and something said besides. */
const begunWith = ({ url, server }: Found, more: (spec: GuardSpec) => Partial<GuardSpec>): Found => ({
  url,
  ...(server && {
    server: {
      ...server,
      async prepare() {
        const spec = await server.prepare();
        return { ...spec, ...more(spec) };
      },
    },
  }),
});

/**
 * Stores that write and do not wait for the disk: what was committed outlives a kill of them, and a loss of power is no
 * matter to tests, where a disk that stands still for seconds is. Postgres takes as many connections as files beside
 * each other have (lanes.ts).
 */
const unflushedPostgres = (place: Found): Found =>
  begunWith(place, ({ args }) => ({
    args: [
      ...args,
      ...['fsync=off', 'full_page_writes=off', 'max_connections=300'].flatMap((setting) => ['-c', setting]),
    ],
  }));

const unflushedRedis = (place: Found): Found =>
  begunWith(place, ({ input = '' }) => ({ input: `${input}appendfsync no\n` }));

/**
 * Those of `REDIS_URL` and `DATABASE_URL` where they are set, else a private pair in a temporary folder,
 * found or installed by the code of `npm start`. With `flushes: false` they wait for no disk.
 */
export async function startTestServices(
  env: NodeJS.ProcessEnv,
  say: Say,
  { flushes = true } = {},
): Promise<TestServices> {
  const folder = mkdtempSync(join(tmpdir(), 'mcpctl-test-'));
  const path = env.PATH ?? '';
  const running: Kept[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(running.map((server) => server.stop()));
    rmSync(folder, { recursive: true, force: true });
  };
  const base = { home: homeAt(folder), path, say, clock: systemClock };
  const start = async ({ url, server }: Found): Promise<string> => {
    if (!server) return url;
    const kept = keepServer(server, { line: quiet, say: quiet, note: quiet, clock: systemClock });
    running.push(kept);
    await kept.untilUp();
    return byPort(url);
  };
  try {
    const [redisUrl, databaseUrl] = await Promise.all([
      findRedis({ ...base, url: env.REDIS_URL, verifyTls: true })
        .then(flushes ? same : unflushedRedis)
        .then(start),
      findPostgres({ ...base, url: env.DATABASE_URL, npm: ['npm'] })
        .then(flushes ? same : unflushedPostgres)
        .then(start),
    ]);
    return { redisUrl, databaseUrl, stop };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}
