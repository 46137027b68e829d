import { homedir, userInfo } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { McpctlError } from '../../errors.ts';

/** The files of `$MCPCTL_HOME` (docs/spec.md §7), and what `npm start` keeps beside them. */
export interface Home {
  root: string;
  /** `{ providers, agents }`: what this machine publishes. */
  config: string;
  /** `{ mcpdUrl, token }`, mode 0600. */
  credentials: string;
  /** The same for the worker of `npm start`, with a token that publishes and no more; the worker's before `credentials` of that server. */
  workerCredentials: string;
  /** Says who just joins or leaves, so that nobody else does. */
  credentialsLock: string;
  /** The sticky provider session id. */
  session: string;
  /** Where a running worker hears `mcplocal status` and its like. */
  socket: string;
  /** Says which process that is, so that there is no second one. */
  workerLock: string;
  /** The CLI's contexts. */
  cli: string;
  /** What the CLI may lose: names for completion, for seconds. */
  cache: string;
  /** The keys of secrets, mode 0600: without it none opens. */
  secretsKeys: string;
  /** Data of Redis and Postgres that `npm start` runs. */
  data: string;
  /** What the processes of `npm start` printed last, a file each. */
  logs: string;
  /** Written by `npm start` while it runs: `{ pid, url, redisUrl, databaseUrl }`, mode 0600. */
  running: string;
}

/**
 * @param home `HOME`; what is no whole path is another folder for whoever is begun elsewhere, such as a service, and counts for nothing.
 * @throws McpctlError `invalid_config` where the machine knows of none, as of a user id without a name in a container.
 */
export function personsHome(home?: string): string {
  try {
    const named = home ?? homedir();
    return isAbsolute(named) ? named : userInfo().homedir;
  } catch (cause) {
    const message =
      'This machine knows no home of this user: set HOME, or MCPCTL_HOME, to a folder of theirs.';
    throw new McpctlError('invalid_config', message, { cause });
  }
}

/** A path as a person writes it into a file of theirs: `~/` is their home, and what is no whole path is in `folder`. */
export const writtenPath = (path: string, folder: string): string =>
  path.startsWith('~/') ? join(personsHome(), path.slice(2)) : resolve(folder, path);

/** @param configured the value of `MCPCTL_HOME`; empty means `~/.mcpctl`. */
export function homeAt(configured: string): Home {
  const root = configured === '' ? join(personsHome(), '.mcpctl') : resolve(configured);
  const at = (name: string): string => join(root, name);
  return {
    root,
    config: at('config.json'),
    credentials: at('credentials'),
    workerCredentials: at('worker-credentials'),
    credentialsLock: at('credentials.lock'),
    session: at('provider-session'),
    socket: at('worker.sock'),
    workerLock: at('worker.lock'),
    cli: at('cli.json'),
    cache: at('cache'),
    secretsKeys: at('secrets.key'),
    data: at('data'),
    logs: at('logs'),
    running: at('running.json'),
  };
}
