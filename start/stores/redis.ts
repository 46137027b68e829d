import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Home } from '../../core/runtime/files/home.ts';
import { rememberServer, stopLeftover } from './leftover.ts';
import { freePort } from '../port.ts';
import { redisBinary, type RedisBinary } from './redis-binary.ts';
import { probeRedis } from './redis-probe.ts';
import { secretAt } from './secret.ts';
import { fitsSocket } from './socket-path.ts';
import type { Found, LocalServer, Say } from '../server.ts';

export interface RedisDeps {
  home: Home;
  /** `REDIS_URL`, if set: then nothing is started. */
  url: string | undefined;
  /** Sentinels or a Cluster say where it is: the processes look at it themselves, as `start` has no client that could ask. */
  isMoving?: boolean;
  /** Whether its certificate must be trusted, for `rediss://`. */
  verifyTls: boolean;
  /** PEM: trusted on `rediss://` instead of the public authorities. */
  ca?: string | undefined;
  /** The value of `PATH`. */
  path: string;
  say: Say;
  clock: Clock;
}

const STOP_MS = 2_500;

/**
 * The Redis to use: the one of `REDIS_URL`, else a private one on a free loopback port and a socket in its folder.
 * @throws McpctlError `setup_failed` when there is none and none can be installed, or that of `REDIS_URL`
 *   does not answer or is too old.
 */
export async function findRedis(deps: RedisDeps): Promise<Found> {
  const { home, url, isMoving = false, verifyTls, ca, path, say, clock } = deps;
  if (url !== undefined) {
    if (!isMoving) await checkTheirs(url, { verifyTls, ca });
    return { url };
  }
  const binary = await redisBinary({ path, say });
  const port = await freePort();
  const password = secretAt(join(home.data, 'redis.password'));
  const server = localRedis({ binary, port, password, home, clock });
  return { url: server.url, server };
}

async function checkTheirs(url: string, tls: { verifyTls: boolean; ca: string | undefined }): Promise<void> {
  const answer = await probeRedis(url, tls);
  if (answer.kind === 'loading') return;
  const where = new URL(url).host;
  if (answer.kind === 'refused') {
    throw new McpctlError('setup_failed', `REDIS_URL is set, but ${where} cannot be used: ${answer.reason}.`);
  }
  if (Number.parseInt(answer.version) < 7) {
    throw new McpctlError(
      'setup_failed',
      `REDIS_URL is set, but ${where} is Redis ${answer.version}; 7.0 or newer is needed.`,
    );
  }
}

interface LocalDeps {
  binary: RedisBinary;
  port: number;
  password: string;
  home: Home;
  clock: Clock;
}

function localRedis({ binary, port, password, home, clock }: LocalDeps): LocalServer {
  const byPort = `redis://:${password}@127.0.0.1:${port}`;
  const folder = join(home.data, 'redis');
  const path = join(folder, 'redis.sock');
  const socket = fitsSocket(path) ? path : undefined;
  const record = join(home.data, 'redis.pid');
  return {
    name: 'redis',
    url: socket === undefined ? byPort : `${byPort}?path=${encodeURIComponent(socket)}`,
    version: binary.version,
    async prepare() {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      await stopLeftover({ path: record, signals: ['SIGTERM'], waitMs: 5_000, clock });
      return {
        command: binary.path,
        argv0: binary.argv0,
        args: ['-'], // the configuration, password and all, comes on standard input
        input: configuration({ port, password, folder, socket }),
        env: { LC_ALL: 'C' },
        stopSignal: 'SIGTERM',
        stopMs: STOP_MS,
      };
    },
    started: (pid) => rememberServer(record, pid),
    isReady: async () => (await probeRedis(byPort)).kind === 'ready',
  };
}

function configuration({
  port,
  password,
  folder,
  socket,
}: {
  port: number;
  password: string;
  folder: string;
  socket: string | undefined;
}): string {
  return [
    'bind 127.0.0.1',
    `port ${port}`,
    ...(socket === undefined ? [] : [`unixsocket ${JSON.stringify(socket)}`, 'unixsocketperm 700']),
    `requirepass ${password}`,
    `dir ${JSON.stringify(folder)}`,
    'appendonly yes',
    'appendfsync everysec',
    'save ""',
    'maxmemory-policy noeviction',
    'daemonize no',
    'loglevel warning',
    '',
  ].join('\n');
}
