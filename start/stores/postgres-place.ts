import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, lstatSync, mkdirSync, readlinkSync, statSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import type { Home } from '../../core/runtime/files/home.ts';
import type { Say } from '../server.ts';

/** Whom Postgres runs as, and where. */
export interface PostgresPlace {
  /** Set when we are root, which Postgres refuses to run as. */
  user?: { uid: number; gid: number };
  /** The data folder; may not exist yet, its parent does. */
  data: string;
  /** Where embedded binaries go. */
  tools: string;
}

const SHARED = '/var/lib/mcpctl';

/**
 * Decides where the data of Postgres lies: `$MCPCTL_HOME/data/postgres`, except for root, when the user that
 * Postgres must run as cannot reach it (docs/decisions/0003-postgres-as-root.md).
 * @throws McpctlError `setup_failed` when we are root and there is no user to run Postgres as.
 */
export function postgresPlace(home: Home, say: Say): PostgresPlace {
  mkdirSync(home.data, { recursive: true, mode: 0o700 });
  const wanted = join(home.data, 'postgres');
  if (process.getuid?.() !== 0) return { data: wanted, tools: join(home.data, 'tools') };
  const user = unprivileged();
  const linked = linkAt(wanted);
  if (linked !== undefined) {
    mkdirSync(dirname(linked), { recursive: true, mode: 0o711 });
    return { user, data: linked, tools: SHARED };
  }
  for (const folder of [home.root, home.data]) letThrough(folder, user.gid);
  if (canReach(home.data, user)) return { user, data: wanted, tools: SHARED };
  const data = join(SHARED, randomBytes(6).toString('hex'), 'postgres');
  mkdirSync(dirname(data), { recursive: true, mode: 0o711 });
  symlinkSync(data, wanted);
  say(`Postgres cannot run as root, and its user cannot reach ${home.data}: its data lies in ${data}.`);
  return { user, data, tools: SHARED };
}

function linkAt(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined;
  } catch {
    return undefined; // nothing there yet
  }
}

function unprivileged(): { uid: number; gid: number } {
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string): number =>
        Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: 'pipe' }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      continue; // No such user: the next one.
    }
  }
  throw new McpctlError(
    'setup_failed',
    'Postgres cannot run as root, and this system has neither a user "postgres" nor "nobody": run npm start as another user, or set DATABASE_URL.',
  );
}

/** A folder that was root's alone may be passed through, not listed, by the group that Postgres runs in. */
function letThrough(folder: string, gid: number): void {
  const { mode, uid } = statSync(folder);
  if (uid !== 0 || (mode & 0o077) !== 0) return;
  chownSync(folder, 0, gid);
  chmodSync(folder, 0o710);
}

function canReach(folder: string, user: { uid: number; gid: number }): boolean {
  return spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], { ...user, cwd: '/' }).status === 0;
}
