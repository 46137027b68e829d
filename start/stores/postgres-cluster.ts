import { randomBytes } from 'node:crypto';
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import type { PostgresPlace } from './postgres-place.ts';

/** The name of our role and database. */
export const POSTGRES_NAME = 'mcpctl';
const quiet = { cwd: '/', env: { LC_ALL: 'C' }, timeout: 60_000 };

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
export async function createCluster({ binaries, place, password }: ClusterDeps): Promise<void> {
  const draft = `${place.data}.new`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { mode: 0o700 });
  const secret = `${place.data}.initdb-password.${randomBytes(9).toString('base64url')}`;
  writeFileSync(secret, password, { mode: 0o600, flag: 'wx' });
  for (const path of [draft, secret]) if (place.user) chownSync(path, place.user.uid, place.user.gid);
  const run = async (program: string, args: readonly string[], input = ''): Promise<void> => {
    const why = await failureOf(
      spawn(join(binaries.folder, program), args, { ...quiet, ...place.user }),
      input,
    );
    if (why === undefined) return;
    throw new McpctlError('setup_failed', `Postgres could not make its data folder ${draft}: ${why}`);
  };
  try {
    const access = ['--username', POSTGRES_NAME, '--auth=scram-sha-256', `--pwfile=${secret}`];
    await run('initdb', ['-D', draft, ...access, '--encoding=UTF8', '--no-locale', '--no-instructions']);
    await run('postgres', ['--single', '-D', draft, 'postgres'], `CREATE DATABASE ${POSTGRES_NAME}\n`);
  } finally {
    rmSync(secret, { force: true });
  }
  renameSync(draft, place.data);
}

/** What went wrong, or undefined. Not run synchronously: backends are looked for meanwhile, against the clock. */
function failureOf(child: ChildProcessWithoutNullStreams, input: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let stderr = '';
    child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
    child.stdout.resume();
    child.stdin.on('error', () => undefined); // it ended without reading: its exit code says why
    child.stdin.end(input);
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) =>
      resolve(code === 0 ? undefined : stderr.trim() || `it ended with ${code ?? signal}`),
    );
  });
}
