import { spawn, type ChildProcess, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { McpctlError } from '../../core/errors.ts';

/**
 * Waits for a line and becomes the program then; where there is none, as whoever was to write it is gone, it ends. What a shell
 * adds to the environment is taken out again.
 */
const GATE = 'read -r mcp_go <&3 || exit 1; exec 3<&-; unset mcp_go PWD OLDPWD SHLVL; exec "$@"';

export interface Gated {
  child: ChildProcessWithoutNullStreams;
  /** From now on it is the program. Nothing of that runs before, however this process ends. */
  release: () => void;
}

/** What a machine has too little of, where its user can do something about that. */
const scarce: ReadonlyMap<string, string> = new Map([
  ['EAGAIN', 'its user may have no more processes; raise ulimit -u, or end some'],
  ['EMFILE', 'its worker may have no more files open; raise ulimit -n'],
]);

/** Why there is no process. */
export const notStarted = (code: string, why = scarce.get(code)): string =>
  `could not be started (${why === undefined ? code : `${code}: ${why}`})`;

interface Program {
  command: string;
  args: readonly string[];
  cwd: string | undefined;
  env: Readonly<Record<string, string>>;
}

/**
 * Begins a process in a group of its own that is not its program yet: so that somebody can know of the group first who ends it
 * with this process. @throws McpctlError `mcp_server_down` where there is no such program, or no room for one more process.
 */
export function spawnGated({ command, args, cwd, env }: Program): Gated {
  const program = programAt(command, { cwd: cwd ?? '.', path: env['PATH'] ?? '' });
  const child: ChildProcess = spawn('/bin/sh', ['-c', GATE, 'mcp', program, ...args], {
    detached: true,
    shell: false,
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    env,
    cwd,
  });
  // Without a free file descriptor it has none of them.
  const gate = (child.stdio as ChildProcess['stdio'] | undefined)?.[3];
  if (!child.stdin || !gate || !('end' in gate)) {
    child.once('error', () => undefined);
    throw new McpctlError('mcp_server_down', notStarted('EMFILE'));
  }
  gate.on('error', () => undefined); // it has ended
  return { child: child as ChildProcessWithoutNullStreams, release: () => void gate.end('go\n') };
}

/** Its path, as a shell would find it; the error names none of this machine's. @throws McpctlError */
function programAt(command: string, { cwd, path }: { cwd: string; path: string }): string {
  if (!statSync(cwd, { throwIfNoEntry: false })?.isDirectory())
    throw new McpctlError('mcp_server_down', notStarted('ENOENT', 'its folder is not there'));
  const places = command.includes('/')
    ? [resolve(cwd, command)]
    : path
        .split(':')
        .filter((folder) => folder !== '')
        .map((folder) => join(folder, command));
  const there = places.filter((place) => statSync(place, { throwIfNoEntry: false })?.isFile());
  const program = there.find(mayRun);
  if (program !== undefined) return program;
  const code = there.length === 0 ? 'ENOENT' : 'EACCES';
  throw new McpctlError('mcp_server_down', notStarted(code));
}

function mayRun(place: string): boolean {
  try {
    accessSync(place, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
