import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import { runVisibly } from './npm-packages.ts';
import type { Say } from '../server.ts';

/** A program that is a Redis or Valkey server when it is started under the name `argv0`. */
export interface RedisBinary {
  path: string;
  argv0: string;
  version: string;
}

interface Deps {
  /** The value of `PATH`. */
  path: string;
  say: Say;
}

const LEAST_MAJOR = 7;

/**
 * Finds a Redis or Valkey server on this machine, or installs one with the system's package manager.
 * @throws McpctlError `setup_failed` with the command to run, where neither is possible.
 */
export async function redisBinary({ path, say }: Deps): Promise<RedisBinary> {
  const binary = findRedisBinary(path);
  if (binary) return binary;
  const way = wayToInstall(path);
  if (!way) {
    const apt = onPath(path, 'apt-get') !== undefined;
    throw missing(
      apt ? 'run "apt-get install redis-tools" as root' : 'install it, or Valkey, with the package manager',
    );
  }
  say(`Redis is not installed here; installing ${way.what} with ${way.manager} (no service is started).`);
  for (const command of way.commands) {
    if ((await runVisibly(command, say)) !== 0 && command === way.commands.at(-1)) {
      throw missing(`run "${way.byHand}"`);
    }
  }
  const installed = findRedisBinary(path);
  if (!installed) throw missing(`run "${way.byHand}" with a release that has Redis 7 or newer`);
  return installed;
}

function missing(what: string): McpctlError {
  return new McpctlError(
    'setup_failed',
    `Redis 7 or newer is needed and could not be installed: ${what}, or set REDIS_URL.`,
  );
}

/**
 * On the PATH, by the usual names. Debian's packages of client tools carry the server's program too, as the
 * checker of dump files; which of the two it is goes by the name it is called under.
 */
function findRedisBinary(path: string): RedisBinary | undefined {
  const names = [
    ['valkey-server', 'valkey-server'],
    ['redis-server', 'redis-server'],
    ['valkey-check-rdb', 'valkey-server'],
    ['redis-check-rdb', 'redis-server'],
  ] as const;
  for (const [file, argv0] of names) {
    const full = onPath(path, file);
    const version = full === undefined ? undefined : versionOf(full, argv0);
    if (full !== undefined && version !== undefined && Number.parseInt(version) >= LEAST_MAJOR) {
      return { path: full, argv0, version };
    }
  }
  return undefined;
}

function versionOf(path: string, argv0: string): string | undefined {
  const { stdout } = spawnSync(path, ['--version'], { argv0, encoding: 'utf8', timeout: 5_000 });
  return /\bserver v=(\d+\.\d+\.\d+)/i.exec(stdout ?? '')?.[1];
}

/** The full path of an executable; undefined when the PATH has none of that name. */
export function onPath(path: string, file: string): string | undefined {
  return path
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => join(folder, file))
    .find((full) => {
      try {
        accessSync(full, constants.X_OK);
        return true;
      } catch {
        return false; // not there, or not for us
      }
    });
}

interface WayToInstall {
  what: string;
  manager: string;
  commands: readonly (readonly string[])[];
  byHand: string;
}

function wayToInstall(path: string): WayToInstall | undefined {
  if (onPath(path, 'apt-get') !== undefined) {
    const root = process.getuid?.() === 0;
    const sudo = root ? [] : sudoPrefix(path);
    if (!sudo) return undefined;
    // redis-tools has the server's program and no service, so nothing starts to listen on port 6379.
    const quiet = ['-qq', '-o', 'Dpkg::Use-Pty=0'];
    const install = ['apt-get', ...quiet, 'install', '-y', '--no-install-recommends', 'redis-tools'];
    const env = ['env', 'DEBIAN_FRONTEND=noninteractive'];
    return {
      what: 'redis-tools',
      manager: root ? 'apt-get' : 'sudo apt-get',
      commands: [
        [...sudo, ...env, 'apt-get', ...quiet, 'update'],
        [...sudo, ...env, ...install],
      ],
      byHand: 'sudo apt-get install redis-server',
    };
  }
  if (onPath(path, 'brew') !== undefined) {
    return {
      what: 'redis',
      manager: 'brew',
      commands: [['brew', 'install', '--quiet', 'redis']],
      byHand: 'brew install redis',
    };
  }
  return undefined;
}

/** sudo without a question where it can, with its question where somebody can answer. */
function sudoPrefix(path: string): string[] | undefined {
  if (onPath(path, 'sudo') === undefined) return undefined;
  if (spawnSync('sudo', ['-n', 'true'], { timeout: 5_000 }).status === 0) return ['sudo', '-n'];
  return process.stdin.isTTY ? ['sudo'] : undefined;
}
