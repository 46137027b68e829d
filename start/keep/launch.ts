import { McpctlError } from '../../core/errors.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Backend } from '../backend.ts';
import { keepRunning, keepServer, type Kept } from './keep.ts';
import type { Found } from '../server.ts';
import { stopMs, type Running, type Stage } from './stages.ts';
import type { Terminal } from '../say/terminal.ts';

/** The command of each process type, split into words; `node` is the one that runs us. */
export type Procfile = ReadonlyMap<string, readonly string[]>;

/**
 * Reads a Procfile: `name: command` a line.
 * @throws McpctlError `setup_failed` for a line that is neither that, nor empty, nor a comment.
 */
export function parseProcfile(text: string): Procfile {
  const entries = new Map<string, readonly string[]>();
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [, name, command] = /^([A-Za-z0-9_-]+):\s*(\S.*)$/.exec(line) ?? [];
    if (name === undefined || command === undefined) {
      throw new McpctlError('setup_failed', `The Procfile has a line that is not "name: command": ${line}`);
    }
    const words = command.trim().split(/\s+/);
    entries.set(name, words[0] === 'node' ? [process.execPath, ...words.slice(1)] : words);
  }
  return entries;
}

export interface LaunchDeps {
  procfile: Procfile;
  /** The folder that commands of the Procfile start in. */
  root: string;
  /** What every process finds in its environment. */
  env: Readonly<Record<string, string | undefined>>;
  terminal: Terminal;
  clock: Clock;
  running: Running;
}

/** How each kind of program is started and kept running. All of them end with `running`. */
export interface Launch {
  /** @returns the URL, once the server takes connections. */
  serve(store: Found): Promise<string>;
  serveBackend(backend: Backend): Promise<Backend>;
  /** A process type of the Procfile; `urls` go into its environment. */
  run(name: string, urls: Readonly<Record<string, string | undefined>>): Kept;
}

/** How long a program may take to be ready, and how often it may die before that. */
export const firstStart = { withinMs: 60_000, lives: 3 };
/** A process is told to be done a little before it is killed. */
const GRACE_SHARE = 0.8;

export function createLaunch({ procfile, root, env, terminal, clock, running }: LaunchDeps): Launch {
  const words = (name: string) => ({
    line: (text: string) => terminal.line(name, text),
    say: terminal.say,
    note: terminal.note,
    clock,
  });
  return {
    async serve({ url, server }) {
      if (!server) return url;
      const kept = keepServer(server, words(server.name));
      running.add('servers', kept);
      await kept.untilUp();
      return url;
    },
    async serveBackend(backend) {
      if (!backend.engine) return backend;
      const { prepare, isReady } = backend.engine;
      const kept = keepRunning({ name: 'engine', prepare, ...words('engine') });
      running.add('engines', kept);
      await kept.untilReady(isReady, firstStart);
      return backend;
    },
    run(name, urls) {
      const [command = '', ...args] = commandOf(procfile, name);
      const stage: Stage = name === 'worker' ? 'workers' : 'processes';
      const bound = stopMs[stage];
      const full = { ...env, ...urls, MCPCTL_SHUTDOWN_GRACE_MS: String(bound * GRACE_SHARE) };
      const spec = { command, args, cwd: root, env: full, stopSignal: 'SIGTERM', stopMs: bound } as const;
      const kept = keepRunning({ name, prepare: async () => spec, ...words(name) });
      running.add(stage, kept);
      return kept;
    },
  };
}

/** @throws McpctlError `setup_failed` when the Procfile does not have it. */
export function commandOf(procfile: Procfile, name: string): readonly string[] {
  const argv = procfile.get(name);
  if (argv) return argv;
  throw new McpctlError('setup_failed', `The Procfile has no line "${name}:".`);
}
