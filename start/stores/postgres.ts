import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Home } from '../../core/runtime/files/home.ts';
import { rememberServer, stopLeftover } from './leftover.ts';
import { beginningOf } from '../../core/runtime/files/lock.mjs';
import { freePort } from '../port.ts';
import {
  embeddedMajor,
  embeddedPostgres,
  installedPostgres,
  type PostgresBinaries,
} from './postgres-binaries.ts';
import { createCluster, majorOf, POSTGRES_NAME } from './postgres-cluster.ts';
import { postgresPlace, type PostgresPlace } from './postgres-place.ts';
import { secretAt } from './secret.ts';
import { fitsSocket } from './socket-path.ts';
import type { Found, LocalServer, Say } from '../server.ts';

export interface PostgresDeps {
  home: Home;
  /** `DATABASE_URL`, if set: then nothing is started. */
  url: string | undefined;
  /** The value of `PATH`. */
  path: string;
  /** The program and first arguments that are npm: for the embedded binaries. */
  npm: readonly string[];
  say: Say;
  clock: Clock;
}

const STOP_MS = 3_000;
const CONNECT_MS = 5_000;

/**
 * The Postgres to use: the one of `DATABASE_URL`, else a private one on a free loopback port.
 * @throws McpctlError `setup_failed` when that of `DATABASE_URL` does not answer, when there is none and none
 *   can be installed, or when the data folder was made by another major version.
 */
export async function findPostgres(deps: PostgresDeps): Promise<Found> {
  const { home, url, say, clock } = deps;
  if (url !== undefined) {
    await checkTheirs(url);
    return { url };
  }
  const place = postgresPlace(home, say);
  const binaries = await choose(place, deps);
  const password = secretAt(join(home.data, 'postgres.password'));
  const record = join(home.data, 'postgres.pid');
  if (majorOf(place.data) === undefined) {
    say(`Making a Postgres ${binaries.version} data folder in ${place.data}.`);
    await createCluster({ binaries, place, password });
  }
  const server = localPostgres({ binaries, place, password, record, port: await freePort(), clock });
  return { url: server.url, server };
}

async function checkTheirs(url: string): Promise<void> {
  const { hostname, port, host } = new URL(url);
  const reason = await new Promise<string | undefined>((resolve) => {
    const target = {
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port || 5432),
      timeout: CONNECT_MS,
    };
    const socket = connect(target, () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.on('timeout', () => socket.destroy(new McpctlError('timed_out', 'it did not answer in time')));
    socket.on('error', (error) => resolve(error.message));
  });
  if (reason === undefined) return;
  throw new McpctlError('setup_failed', `DATABASE_URL is set, but ${host} cannot be reached: ${reason}.`);
}

/** A data folder can be used by its own major version only. */
async function choose(place: PostgresPlace, { path, npm, say }: PostgresDeps): Promise<PostgresBinaries> {
  const made = majorOf(place.data);
  const installed = installedPostgres(path);
  const fitting = installed.find(({ major }) => made === undefined || major === made);
  if (fitting) return fitting;
  if (made === undefined || made === embeddedMajor) return embeddedPostgres({ into: place.tools, npm, say });
  const there = installed.map(({ version }) => version).join(', ') || 'none';
  throw new McpctlError(
    'setup_failed',
    `The data in ${place.data} was made by Postgres ${made}, which is not installed here (there is ${there}): install Postgres ${made}, or move that folder away to begin with an empty one.`,
  );
}

interface LocalDeps {
  binaries: PostgresBinaries;
  place: PostgresPlace;
  password: string;
  record: string;
  port: number;
  clock: Clock;
}

function localPostgres({ binaries, place, password, record, port, clock }: LocalDeps): LocalServer {
  const isSocket = fitsSocket(join(place.data, `.s.PGSQL.${port}.lock`));
  const byPort = `postgres://${POSTGRES_NAME}:${password}@127.0.0.1:${port}/${POSTGRES_NAME}`;
  const settings = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: isSocket ? `"${place.data.replaceAll('"', '""')}"` : '', // a list; its password is asked there, too
    unix_socket_permissions: '0700',
    max_connections: '200',
    log_min_messages: 'fatal', // lesser ones quote the statement, and with it a prompt
    password_encryption: 'scram-sha-256',
  };
  let current: number | undefined;
  return {
    name: 'postgres',
    url: isSocket ? `${byPort}?host=${encodeURIComponent(place.data)}` : byPort,
    version: binaries.version,
    async prepare() {
      current = undefined;
      await stopLeftover({ path: record, signals: ['SIGINT', 'SIGQUIT'], waitMs: 5_000, clock });
      clearStalePid(place.data);
      return {
        command: join(binaries.folder, 'postgres'),
        args: ['-D', place.data, ...Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`])],
        cwd: '/',
        env: { LC_ALL: 'C' },
        ...place.user,
        stopSignal: 'SIGINT', // "fast": ends the sessions, then writes a checkpoint
        harderSignal: 'SIGQUIT', // "immediate": recovers at the next start
        stopMs: STOP_MS,
      };
    },
    started(pid) {
      current = pid;
      rememberServer(record, pid);
    },
    async isReady() {
      const lines = pidFile(place.data);
      return current !== undefined && Number(lines[0]) === current && lines[7]?.trim() === 'ready';
    },
  };
}

/** postmaster.pid: the process id first, whether it takes connections on the eighth line. */
function pidFile(data: string): string[] {
  try {
    return readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
  } catch {
    return []; // not running
  }
}

/**
 * What a killed Postgres leaves keeps the next one from starting when its process id lives on as something
 * else, which is usual in containers: one file names it, and one beside each socket.
 */
function clearStalePid(data: string): void {
  const pid = Number(pidFile(data)[0]);
  const isNamed = Number.isInteger(pid) && pid > 0;
  if (isNamed && beginningOf(pid) !== undefined && isPostgres(pid)) {
    throw new McpctlError(
      'setup_failed',
      `Another Postgres (process ${pid}) uses ${data}: stop it, then start again.`,
    );
  }
  if (isNamed) rmSync(join(data, 'postmaster.pid'), { force: true });
  for (const name of readdirSync(data))
    if (name.startsWith('.s.PGSQL.')) rmSync(join(data, name), { force: true });
}

function isPostgres(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('postgres');
  } catch {
    return process.platform !== 'linux'; // no way to know: let Postgres decide
  }
}
