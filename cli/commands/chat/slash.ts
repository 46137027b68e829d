import { McpctlError } from '../../../core/errors.ts';
import type { Client } from '../../net/client.ts';
import { cell } from '../../say/text.ts';
import type { Context } from '../../who/context.ts';
import { usageSlash, type Slash, type Slashes } from '../../talk/slash.ts';
import type { Place } from '../../net/turn/stream.ts';
import { writeNew } from '../../talk/write-new.ts';
import { askingSlashes } from './slash-asking.ts';
import { again, forget, goOn, keepForNow, type Talk } from './turn.ts';

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

/** Of a long thread, what was said lately. */
const MOST_TOLD = 200;

/** The turn that was said last. @throws McpctlError `usage` where nothing was said yet. */
async function lastOf(client: Client, { threadId }: Talk): Promise<Place> {
  const turn = threadId === null ? 0 : (await client.turns.thread(threadId)).turns;
  if (threadId === null || turn === 0) throw new McpctlError('usage', 'Nothing was said yet.');
  return { threadId, turn };
}

/** By its number in the list, or its id. @throws McpctlError `thread_not_found`, `usage`. */
async function threadMeant(client: Client, agent: string, asked: string): Promise<{ id: string }> {
  if (!/^\d{1,2}$/.test(asked)) return await client.turns.thread(asked);
  const thread = (await client.turns.threads(agent, LISTED))[Number(asked) - 1];
  if (!thread) throw new McpctlError('usage', `There is no thread ${asked}; /threads lists them.`);
  return thread;
}

const commands: Readonly<Record<string, Slash<Talk>>> = {
  new: {
    about: 'begin another thread; this one stays',
    async run(ctx, client, { talk }) {
      if (talk.isEphemeral) await forget(client, talk);
      talk.threadId = null;
      talk.leftOut = 0;
      talk.abandons = false;
      ctx.out.note('A new thread begins with what you say next.');
    },
  },
  threads: {
    about: `list your newest threads with this agent`,
    async run(ctx, client, { talk }) {
      const threads = await client.turns.threads(talk.asking.agent, LISTED);
      if (threads.length === 0) return ctx.out.note(`There is no thread with ${talk.asking.agent} yet.`);
      for (const [at, { id, title, turns }] of threads.entries())
        ctx.out.note(
          `${id === talk.threadId ? '*' : ' '} ${at + 1}  ${id}  ${turns} ${turns === 1 ? 'turn' : 'turns'}  ${cell(title)}`,
        );
    },
  },
  resume: {
    about: 'N or ID: go on in that thread',
    async run(ctx, client, { talk, rest }) {
      if (rest === '') throw new McpctlError('usage', 'Which one? Write /resume N; /threads lists them.');
      if (talk.isEphemeral)
        throw new McpctlError(
          'usage',
          'This conversation is ephemeral: leave it, and chat without --ephemeral.',
        );
      const { id } = await threadMeant(client, talk.asking.agent, rest);
      talk.threadId = id;
      talk.leftOut = 0;
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
  retry: {
    about: 'MEMBER or nothing: ask once more what was asked last; the answer before is told of no more',
    async run(ctx, client, { talk, rest, ask }) {
      const place = await lastOf(client, talk);
      await again(ctx, client, { talk, place, ask, pin: rest === '' ? undefined : rest });
    },
  },
  continue: {
    about: 'have the last answer written on, where it was cut short',
    async run(ctx, client, { talk, ask }) {
      await goOn(ctx, client, { talk, ask, place: await lastOf(client, talk) });
    },
  },
  undo: {
    about: 'take the last question and its answer out of what is told from now on',
    async run(ctx, client, { talk }) {
      const last = await lastOf(client, talk);
      const kept = (await client.turns.messages(last.threadId, MOST_TOLD)).filter(
        ({ inContext }) => inContext,
      );
      const turn = kept.reduce((most, message) => Math.max(most, message.turn), 0);
      if (turn === 0) return ctx.out.note('There is nothing to take back.');
      await client.turns.drop({ threadId: last.threadId, turn });
      ctx.out.note(`Turn ${turn} is told of no more; it stays in the thread.`);
    },
  },
  fork: {
    about: 'go on in a copy of this thread; this one stays as it is',
    async run(ctx, client, { talk }) {
      const { threadId } = await lastOf(client, talk);
      const copy = await client.turns.fork(threadId);
      if (talk.isEphemeral) await forget(client, talk);
      talk.threadId = copy;
      if (talk.isEphemeral) await keepForNow(ctx, client, talk);
      ctx.out.note(`thread: ${talk.threadId}`);
    },
  },
  title: {
    about: 'TEXT: what this thread is called',
    async run(_ctx, client, { talk, rest }) {
      if (rest === '') throw new McpctlError('usage', 'What is it called? Write /title TEXT.');
      await client.turns.change((await lastOf(client, talk)).threadId, { title: rest });
    },
  },
  export: {
    about: 'FILE: write what was said to a new file, as JSON',
    async run(ctx, client, { talk, rest }) {
      if (rest === '') throw new McpctlError('usage', 'Where to? Write /export FILE.');
      const made = await client.turns.export((await lastOf(client, talk)).threadId);
      await writeNew(rest, `${JSON.stringify(made, null, 2)}\n`);
      ctx.out.note(`${made.messages.length} messages are in ${rest}.`);
    },
  },
  ...askingSlashes,
  usage: usageSlash,
};

/** What a person may say of a conversation with an agent. */
export const slashes: Slashes<Talk> = { commands, aliases: { clear: 'new' } };
