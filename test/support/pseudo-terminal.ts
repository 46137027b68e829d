import { spawn, spawnSync } from 'node:child_process';
import { pause } from '../../core/runtime/clock.ts';

/** Whether there is what makes one: `script` of util-linux, whose options those of other systems are not. */
export const hasPseudoTerminal = (): boolean =>
  spawnSync('script', ['-qfec', 'true', '/dev/null'], { stdio: 'ignore' }).status === 0;

/** What the program wrote so far that holds this, and what is typed then, or done. */
export type Line = readonly [shows: string, types: string | (() => void)];

const WITHIN_MS = 20_000;

const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** A program at a terminal of its own, and somebody who types. @returns all that it wrote, as it ended. */
export async function atTerminal(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  lines: readonly Line[],
): Promise<{ status: number | null; text: string }> {
  const run = `stty cols 200; exec ${command.map(quoted).join(' ')}`;
  const child = spawn('script', ['-qfec', run, '/dev/null'], {
    env: { ...env, SHELL: '/bin/sh', TERM: 'xterm' },
  });
  let text = '';
  let from = 0;
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  child.stdin.on('error', () => undefined); // it has ended, and what was typed nobody reads
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const late = setTimeout(() => child.kill('SIGKILL'), WITHIN_MS);
  let isOver = false;
  void ended.then(() => (isOver = true));
  for (const [shows, types] of lines) {
    while (!isOver && !text.slice(from).includes(shows)) await pause(10);
    from = text.length;
    if (typeof types === 'string') child.stdin.write(types);
    else types();
  }
  const status = await ended;
  clearTimeout(late);
  return { status, text };
}
