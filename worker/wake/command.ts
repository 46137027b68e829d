import { spawn, type ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pause } from '../../core/runtime/clock.ts';
import { stopGroup } from '../../core/runtime/process/stop-group.ts';
import { notStarted } from '../children/gated.ts';
import type { GroupGuard } from '../children/guard.ts';
import type { Recipe } from '../sources/config-schema.ts';

type CommandRecipe = Extract<Recipe, { type: 'command' }>;
export type Environment = Readonly<Record<string, string | undefined>>;

/** What is kept of what it prints: its end says why it failed. */
const KEPT_BYTES = 2_048;
const TO_END_MS = 2_000;
/** What it printed last may arrive a moment after its end. */
const LAST_WORDS_MS = 100;

/**
 * Runs the recipe's command, argv and no shell, in a process group of its own, and waits for its end. When `signal`
 * aborts first, the whole group gets SIGTERM and 2 s later SIGKILL. What it left running when it ended by itself is
 * the backend, and is left alone.
 * @returns why it did not work, with the end of what it printed.
 */
export async function runCommand(
  { command, args }: CommandRecipe,
  {
    kind,
    signal,
    environment,
    guard,
  }: { kind: string; signal: AbortSignal; environment: Environment; guard: GroupGuard },
): Promise<string | null> {
  if (signal.aborted) return `The ${kind} command was not started: the worker stops.`;
  const child = spawn(command, args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: commandEnvironment(environment),
  });
  // What it leaves running is the backend, which outlives this worker.
  const ended = endOf(child).finally(() => child.pid !== undefined && guard.forget(child.pid));
  // Without a guard it is ended at its limit all the same, unless this worker is killed before.
  if (child.pid !== undefined) guard.watch(child.pid).catch(() => undefined);
  const printed = tailOf(child);
  const aborted = new Promise<'aborted'>((resolve) => {
    const abort = (): void => resolve('aborted');
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    void ended.then(() => signal.removeEventListener('abort', abort));
  });
  const how = await Promise.race([ended, aborted]);
  if (how === 'aborted') {
    await endGroup(child, ended);
    return `The ${kind} command did not end in time and was killed${await printed.words()}`;
  }
  return how === null ? null : `The ${kind} command ${how}${await printed.words()}`;
}

/** The worker's own settings are none of its business: there may be a password among them. */
export function commandEnvironment(environment: Environment): Record<string, string> {
  const ours = /^(MCPCTL_|REDIS_(URL|SENTINELS)$|DATABASE_URL$)/;
  const kept = Object.entries(environment).flatMap(([name, value]) =>
    value === undefined || ours.test(name) ? [] : [[name, value] as const],
  );
  return Object.fromEntries(kept);
}

/** How it ended, as words; null when it ended well. Not when its output ended: a backend may have inherited that. */
function endOf(child: ChildProcess): Promise<string | null> {
  return new Promise((resolve) => {
    child.once('error', (thrown: NodeJS.ErrnoException) => resolve(notStarted(thrown.code ?? 'unknown')));
    child.once('exit', (code, killedBy) => {
      if (code === 0) resolve(null);
      else resolve(killedBy === null ? `ended with code ${String(code)}` : `was ended by ${killedBy}`);
    });
  });
}

/** Reads on after the end, so that a backend which inherited the pipes is never stopped by them. */
function tailOf({ stdout, stderr }: Partial<Pick<ChildProcess, 'stdout' | 'stderr'>>) {
  // Without a free file descriptor it has neither.
  const streams = [stdout, stderr].filter((stream) => stream instanceof Readable);
  let kept = Buffer.alloc(0);
  let open = streams.length;
  for (const stream of streams) {
    stream.on('data', (piece: Buffer) => (kept = Buffer.concat([kept, piece]).subarray(-KEPT_BYTES)));
    stream.on('error', () => undefined); // 'close' follows
    stream.on('close', () => (open -= 1));
    if (stream instanceof Socket) stream.unref(); // a backend that goes on printing keeps no worker from leaving
  }
  return {
    async words(): Promise<string> {
      if (open > 0) await pause(LAST_WORDS_MS);
      const text = kept.toString('utf8').trim();
      return text === '' ? '.' : `: ${text}`;
    },
  };
}

async function endGroup({ pid }: ChildProcess, ended: Promise<unknown>): Promise<void> {
  if (pid === undefined) return;
  await stopGroup(pid, { closeMs: 0, termMs: TO_END_MS });
  await ended;
}
