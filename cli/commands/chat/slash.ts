import { McpctlError } from '../../../core/errors.ts';
import { nearest } from '../../../core/runtime/nearest.ts';
import type { Client } from '../../net/client.ts';
import { cell } from '../../say/text.ts';
import type { Context } from '../../who/context.ts';
import type { Talk } from './turn.ts';

interface Slash {
  about: string;
  run(ctx: Context, client: Client, said: { talk: Talk; rest: string }): Promise<void>;
}

const LISTED = 10;
const TOLD = 20;

/** What was said lately, dim. */
export async function tell(
  ctx: Context,
  client: Client,
  { threadId, last }: { threadId: string; last: number },
): Promise<void> {
  for (const { role, content, status } of await client.turns.messages(threadId, last)) {
    const cut = status === 'cancelled' || status === 'error' ? ` (${status})` : '';
    const who = role === 'user' ? '> ' : role === 'tool' ? '(result) ' : '';
    ctx.out.dim(`${who}${content}${cut}\n`);
  }
}

const slashes: Readonly<Record<string, Slash>> = {
  new: {
    about: 'begin another thread; this one stays',
    async run(ctx, _client, { talk }) {
      talk.threadId = null;
      ctx.out.note('A new thread begins with what you say next.');
    },
  },
  threads: {
    about: `list your newest threads with this agent`,
    async run(ctx, client, { talk }) {
      for (const { id, title, turns } of await client.turns.threads(talk.asking.agent, LISTED))
        ctx.out.note(
          `${id === talk.threadId ? '*' : ' '} ${id}  ${turns} ${turns === 1 ? 'turn' : 'turns'}  ${cell(title)}`,
        );
    },
  },
  resume: {
    about: 'ID: go on in that thread',
    async run(ctx, client, { talk, rest }) {
      if (rest === '') throw new McpctlError('usage', 'Which one? Write /resume ID; /threads lists them.');
      const { id } = await client.turns.thread(rest);
      talk.threadId = id;
      await tell(ctx, client, { threadId: id, last: 4 });
    },
  },
  history: {
    about: 'show what was said lately in this thread',
    async run(ctx, client, { talk: { threadId } }) {
      if (threadId === null) return ctx.out.note('Nothing was said yet.');
      await tell(ctx, client, { threadId, last: TOLD });
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
  const name = word.toLowerCase() === 'clear' ? 'new' : word.toLowerCase();
  if (leaving.includes(name)) return 'leave';
  if (name === 'help' || name === '?') {
    for (const [command, { about }] of Object.entries(slashes)) ctx.out.note(`/${command} ${about}`);
    ctx.out.note('/bye: leave, as Ctrl-D does');
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
