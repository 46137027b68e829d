import { McpctlError } from '../../core/errors.ts';
import { nearest } from '../../core/runtime/nearest.ts';
import type { Client } from '../net/client.ts';
import type { Context } from '../who/context.ts';
import type { Usage } from './usage.ts';

/** Asks for one line more; null: nothing is said, or nobody is there. @throws Cancelled when Ctrl-C leaves. */
export type AskPerson = (question: string) => Promise<string | null>;

interface SlashAsked<T> {
  talk: T;
  rest: string;
  ask: AskPerson;
}

/** What a line that begins with `/` does in a conversation of the kind `T`. */
export interface Slash<T> {
  about: string;
  run(ctx: Context, client: Client, asked: SlashAsked<T>): Promise<void>;
}

export interface Slashes<T> {
  commands: Readonly<Record<string, Slash<T>>>;
  /** Other words for some of them. */
  aliases?: Readonly<Record<string, string>>;
  /** What `/help` ends with. */
  tips?: readonly string[];
}

/** `/usage`, of every kind of conversation. */
export const usageSlash: Slash<{ usage: Usage }> = {
  about: 'how many tokens it took so far',
  async run(ctx, _client, { talk: { usage } }) {
    const { prompt, completion, answers } = usage;
    ctx.out.note(
      `${answers} ${answers === 1 ? 'answer' : 'answers'}: ${prompt} tokens in, ${completion} out, as the backend counts them.`,
    );
  },
};

const leaving = ['bye', 'exit', 'quit'];

/**
 * Does what a line that begins with `/` says; its errors are thrown and end nothing.
 * @returns `sent` for a message, which is not ours; `leave` when that was said.
 */
export async function obey<T>(
  ctx: Context,
  client: Client,
  { slashes, talk, ask, line: text }: { slashes: Slashes<T>; line: string } & Omit<SlashAsked<T>, 'rest'>,
): Promise<'sent' | 'done' | 'leave'> {
  const { commands, aliases = {}, tips = [] } = slashes;
  const [, word, rest = ''] = /^\/([a-z?]+)(?:[ \t]+(.*))?$/i.exec(text.trimEnd()) ?? [];
  if (word === undefined) return 'sent';
  const lower = word.toLowerCase();
  const name = (Object.hasOwn(aliases, lower) && aliases[lower]) || lower;
  if (leaving.includes(name)) return 'leave';
  if (name === 'help' || name === '?') {
    for (const [command, { about }] of Object.entries(commands)) ctx.out.note(`/${command} ${about}`);
    for (const line of ['/bye: leave, as Ctrl-D does', ...tips]) ctx.out.note(line);
    return 'done';
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) {
    const near = nearest(name, [...Object.keys(commands), ...leaving, 'help'], 1)[0];
    const hint = near ? `Did you mean /${near}?` : 'See /help.';
    throw new McpctlError('usage', `/${name} is not known. ${hint} A space before it sends it as text.`);
  }
  await command.run(ctx, client, { talk, ask, rest: rest.trim() });
  return 'done';
}
