import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { eventually, isAlive } from './supervised.ts';

/** An `npm start` in a checkout, as a person's terminal runs it: in a process group of its own. */
export interface StartedByNpm {
  child: ChildProcess;
  output: () => string;
  /** Every process that it said it runs, the present ones last. */
  pids: (name?: string) => number[];
  /** Ctrl-C, as a terminal sends it: to the whole group. @returns how long it took to end, in milliseconds. */
  ctrlC(): Promise<number>;
  exited: Promise<void>;
}

/** What the environment must not lend to it: it is to find its own Redis, Postgres and home. */
const notInherited = /^(REDIS_URL|DATABASE_URL|PORT|MCPCTL_.*|npm_.*)$/;

export function npmStart(checkout: string, env: Record<string, string>): StartedByNpm {
  const inherited = Object.entries(process.env).filter(([name]) => !notInherited.test(name));
  const child = spawn('npm', ['start'], {
    cwd: checkout,
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const exited = new Promise<void>((resolve) => child.on('close', () => resolve()));
  return {
    child,
    output: () => output,
    pids: (name = '\\w+') =>
      [...output.matchAll(new RegExp(`^${name} runs as process (\\d+)`, 'gm'))].map((m) => Number(m[1])),
    async ctrlC() {
      const from = clock.elapsed();
      process.kill(-Number(child.pid), 'SIGINT');
      await exited;
      return clock.elapsed() - from;
    },
    exited,
  };
}

/** Waits for the ready line, the first answer and what to do next. */
export async function untilWelcome(system: StartedByNpm, ms: number): Promise<void> {
  await eventually(
    () => system.output(),
    () => system.output().includes('Ctrl-C stops everything') || system.child.exitCode !== null,
    ms,
  );
  if (system.child.exitCode !== null) throw new Error(`it ended:\n${system.output()}`);
}

export async function untilGone(pids: readonly number[], ms: number): Promise<void> {
  await eventually(`${pids.join(', ')} to end`, () => !pids.some(isAlive), ms);
}

/** `{ mcpdUrl, token }` of a home. */
export function credentialsOf(home: string): { mcpdUrl: string; token: string } {
  return JSON.parse(readFileSync(join(home, 'credentials'), 'utf8')) as { mcpdUrl: string; token: string };
}

/** A GET of the API with the home's own token. */
export async function get<T>(home: string, path: string): Promise<T> {
  const { mcpdUrl, token } = credentialsOf(home);
  const answer = await fetch(`${mcpdUrl}${path}`, { headers: { authorization: `Bearer ${token}` } });
  return (await answer.json()) as T;
}

/** One question to the demo model over the OpenAI door. @returns the answer's text, or what went wrong. */
export async function ask(home: string, question: string): Promise<string> {
  const { mcpdUrl, token } = credentialsOf(home);
  const answer = await fetch(`${mcpdUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tiny-chat', messages: [{ role: 'user', content: question }] }),
    signal: AbortSignal.timeout(15_000),
  }).catch(String);
  if (typeof answer === 'string') return answer;
  const body = (await answer.json()) as { choices?: { message: { content: string } }[] };
  return body.choices?.[0]?.message.content ?? JSON.stringify(body);
}
