import width from 'string-width';
import { Cancelled, failureOf } from '../exit.ts';
import type { Client } from '../net/client.ts';
import type { Context } from '../who/context.ts';
import { wholeMessage } from './message.ts';
import { createPrompt } from './prompt.ts';
import { obey, type AskPerson, type Slashes } from './slash.ts';

interface Conversation<T> {
  talk: T;
  slashes: Slashes<T>;
  /** Says a message and shows what is answered. @param ask one line more from the person; null after Ctrl-D. @returns whether Ctrl-C stopped it. */
  exchange: (message: string, ask: AskPerson) => Promise<boolean>;
  /** What is done before the first message. */
  begin?: (ask: AskPerson) => Promise<void>;
}

/**
 * Talks with a person. A command that fails is said and does not end it.
 * @returns whether it was left with Ctrl-D, not by a word. @throws Cancelled when Ctrl-C leaves.
 */
export async function converseWith<T>(
  ctx: Context,
  client: Client,
  { talk, slashes, exchange, begin }: Conversation<T>,
): Promise<boolean> {
  const prompt = createPrompt(ctx);
  const ask: AskPerson = (question) => prompt.question(question);
  try {
    if (begin) await prompt.aside(() => begin(ask));
    for (;;) {
      const message = await wholeMessage(prompt);
      if (message === null) return true;
      if (message.trim() === '') continue;
      const done = await prompt.aside(() => obeyed(ctx, client, { slashes, talk, ask, line: message }));
      if (done === 'leave') return false;
      if (done === 'sent' && (await prompt.aside(() => exchange(message, ask)))) prompt.arm();
    }
  } finally {
    prompt.close();
  }
}

async function obeyed<T>(
  ctx: Context,
  client: Client,
  asked: { slashes: Slashes<T>; talk: T; ask: AskPerson; line: string },
): Promise<'sent' | 'done' | 'leave'> {
  try {
    return await obey(ctx, client, asked);
  } catch (thrown) {
    if (ctx.interrupts.signal.aborted) throw new Cancelled();
    ctx.terminal.stderr.write(failureOf(thrown).text);
    return 'done';
  }
}

/** Facts of whoever is about to answer, between rules. */
export function ruled(facts: readonly string[], columns: number): string[] {
  const longest = Math.max(...facts.map((line) => width(line)));
  const rule = '─'.repeat(Math.max(20, Math.min(longest, columns || 80)));
  return [rule, ...facts, rule];
}
