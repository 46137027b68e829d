import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { McpctlError } from '../core/errors.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import type { PostgresPlace } from './postgres-place.ts';

/** The name of our role and database. */
export const POSTGRES_NAME = 'mcpctl';
const INIT_MS = 60_000;

/** The major version that made the data folder; undefined when there is none yet. */
export function majorOf(data: string): number | undefined {
  const path = join(data, 'PG_VERSION');
  return existsSync(path) ? Number.parseInt(readFileSync(path, 'utf8')) : undefined;
}

export interface ClusterDeps {
  binaries: PostgresBinaries;
  place: PostgresPlace;
  password: string;
}

/**
 * Makes the data folder with one role and one database, beside its place, and moves it there when it is whole.
 * @throws McpctlError `setup_failed` with what initdb said.
 */
export function createCluster({ binaries, place, password }: ClusterDeps): void {
  const draft = `${place.data}.new`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { mode: 0o700 });
  const secret = `${place.data}.initdb-password`;
  writeFileSync(secret, password, { mode: 0o600 });
  for (const path of [draft, secret]) if (place.user) chownSync(path, place.user.uid, place.user.gid);
  const run = (program: string, args: readonly string[], input = ''): void => {
    const { status, stderr, error } = spawnSync(join(binaries.folder, program), args, {
      ...place.user,
      cwd: '/',
      env: { LC_ALL: 'C' },
      input,
      encoding: 'utf8',
      timeout: INIT_MS,
    });
    if (status === 0) return;
    throw new McpctlError(
      'setup_failed',
      `Postgres could not make its data folder ${draft}: ${(error?.message ?? stderr).trim()}`,
    );
  };
  try {
    const access = ['--username', POSTGRES_NAME, '--auth=scram-sha-256', `--pwfile=${secret}`];
    run('initdb', ['-D', draft, ...access, '--encoding=UTF8', '--no-locale', '--no-instructions']);
    run('postgres', ['--single', '-D', draft, 'postgres'], `CREATE DATABASE ${POSTGRES_NAME}\n`);
  } finally {
    rmSync(secret, { force: true });
  }
  renameSync(draft, place.data);
}
