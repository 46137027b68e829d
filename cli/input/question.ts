import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { McpctlError } from '../../core/errors.ts';
import { anySignal } from '../../core/runtime/any-signal.ts';
import type { Context } from '../who/context.ts';
import { Cancelled } from '../exit.ts';

type Asking = Pick<Context, 'terminal' | 'interrupts' | 'globals'>;

/** Whether somebody is there who may be asked. */
export function mayAsk({ terminal, globals }: Pick<Context, 'terminal' | 'globals'>): boolean {
  return terminal.tty.stdin && terminal.tty.stderr && globals().input !== false;
}

/**
 * Asks before something is destroyed. @throws Cancelled for anything but yes, McpctlError `usage` where
 * nobody can be asked.
 */
export async function confirm(ctx: Asking, question: string): Promise<void> {
  if (!mayAsk(ctx)) throw new McpctlError('usage', `${question} Nobody can be asked here: say --yes.`);
  const answer = await ask(ctx, { prompt: `${question} [y/N] ` });
  if (!isYes(answer)) throw new Cancelled();
}

/** Whether a person has agreed to what was asked with `[y/N]`. */
export const isYes = (answer: string): boolean => /^y(es)?$/i.test(answer.trim());

/** One line from the person, `secret` without showing it. @throws Cancelled on Ctrl-C and Ctrl-D. */
export async function ask(
  { terminal, interrupts }: Asking,
  { prompt, secret = false }: { prompt: string; secret?: boolean },
): Promise<string> {
  terminal.stderr.write(prompt);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({
    input: terminal.stdin,
    output: secret ? silent : terminal.stderr,
    terminal: true,
    historySize: 0,
  });
  if (!secret) lines.setPrompt(prompt);
  const stopped = new AbortController();
  lines.on('SIGINT', () => stopped.abort());
  lines.on('close', () => stopped.abort());
  const signal = anySignal([interrupts.signal, stopped.signal]);
  try {
    return await lines.question(secret ? '' : prompt, { signal });
  } catch (thrown) {
    if (signal.aborted) throw new Cancelled();
    throw thrown;
  } finally {
    lines.close();
    if (secret) terminal.stderr.write('\n');
  }
}
