import { writeFile } from 'node:fs/promises';
import { McpctlError, messageOf } from '../../../core/errors.ts';
import { nearest } from '../../../core/runtime/nearest.ts';
import type { Client } from '../../net/client.ts';
import type { Context } from '../../who/context.ts';
import type { Asking, Message } from './asking.ts';
import { bannerFor } from './banner.ts';

/** A conversation: what `/…` may change of it. */
export interface Talk {
  asking: Asking;
  history: Message[];
  /** Tokens of all answers so far, as the backends counted them. */
  usage: { prompt: number; completion: number; answers: number };
}

interface Slash {
  about: string;
  run(ctx: Context, client: Client, said: { talk: Talk; rest: string }): Promise<void>;
}

const slashes: Readonly<Record<string, Slash>> = {
  model: {
    about: 'NAME: talk to another llm or pool from now on; the conversation stays',
    async run(ctx, client, { talk, rest }) {
      if (rest === '') return ctx.out.note(`You talk to ${talk.asking.name}.`);
      const banner = await bannerFor(client, rest, ctx.terminal.size().columns);
      talk.asking = { ...talk.asking, name: rest, pin: undefined };
      for (const line of banner) ctx.out.note(line);
    },
  },
  system: {
    about: 'TEXT: a system prompt from now on; "none" takes it away',
    async run(ctx, _client, { talk, rest }) {
      if (rest !== '') talk.asking = { ...talk.asking, system: rest === 'none' ? undefined : rest };
      const { system } = talk.asking;
      ctx.out.note(system === undefined ? 'There is no system prompt.' : `The system prompt: ${system}`);
    },
  },
  clear: {
    about: 'forget the conversation; the llm and the system prompt stay',
    async run(ctx, _client, { talk }) {
      talk.history.length = 0;
      ctx.out.note('The conversation is forgotten.');
    },
  },
  save: {
    about: 'FILE: write the conversation to a new file, as JSON',
    async run(ctx, _client, { talk, rest }) {
      if (rest === '') throw new McpctlError('usage', 'Where to? Write /save FILE.');
      const { system } = talk.asking;
      const messages = [
        ...(system === undefined ? [] : [{ role: 'system', content: system }]),
        ...talk.history,
      ];
      const text = `${JSON.stringify({ model: talk.asking.name, messages }, null, 2)}\n`;
      try {
        await writeFile(rest, text, { mode: 0o600, flag: 'wx' });
      } catch (thrown) {
        throw new McpctlError('usage', `The conversation was not saved: ${messageOf(thrown)}`);
      }
      ctx.out.note(`${messages.length} messages are in ${rest}.`);
    },
  },
  usage: {
    about: 'how many tokens it took so far',
    async run(ctx, _client, { talk: { usage } }) {
      const { prompt, completion, answers } = usage;
      ctx.out.note(
        `${answers} ${answers === 1 ? 'answer' : 'answers'}: ${prompt} tokens in, ${completion} out, as the backend counts them.`,
      );
    },
  },
};

const leaving = ['bye', 'exit', 'quit'];

const help = (): string[] => [
  ...Object.entries(slashes).map(([name, { about }]) => `/${name} ${about}`),
  '/bye: leave, as Ctrl-D does',
  '""" begins and ends a message of several lines; a space before it sends a / as text.',
];

/**
 * Does what a line that begins with `/` says; its errors are thrown and end nothing.
 * @returns `sent` for a message, which is not ours; `leave` when that was said.
 */
export async function slash(
  ctx: Context,
  client: Client,
  { talk, said }: { talk: Talk; said: string },
): Promise<'sent' | 'done' | 'leave'> {
  const [, word, rest = ''] = /^\/([a-z?]+)(?:[ \t]+(.*))?$/i.exec(said.trimEnd()) ?? [];
  if (word === undefined) return 'sent';
  const name = word.toLowerCase();
  if (leaving.includes(name)) return 'leave';
  if (name === 'help' || name === '?') {
    for (const line of help()) ctx.out.note(line);
    return 'done';
  }
  const slashCommand = Object.hasOwn(slashes, name) ? slashes[name] : undefined;
  if (!slashCommand) {
    const near = nearest(name, [...Object.keys(slashes), ...leaving, 'help'], 1)[0];
    const hint = near ? `Did you mean /${near}?` : 'See /help.';
    throw new McpctlError('usage', `/${name} is not known. ${hint} A space before it sends it as text.`);
  }
  await slashCommand.run(ctx, client, { talk, rest: rest.trim() });
  return 'done';
}
