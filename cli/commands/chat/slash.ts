import { McpctlError } from '../../../core/errors.ts';
import { nearest } from '../../../core/runtime/nearest.ts';
import type { Client } from '../../net/client.ts';
import { cell } from '../../say/text.ts';
import type { Context } from '../../who/context.ts';
import { usageSlash, type Slash, type Slashes } from '../../talk/slash.ts';
import type { Talk } from './turn.ts';

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

const commands: Readonly<Record<string, Slash<Talk>>> = {
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
  personality: {
    about: 'NAME or none: how the agent answers from now on; alone: which there are',
    async run(ctx, client, { talk, rest }) {
      const { agent } = talk.asking;
      const all = await client.turns.personalities(agent);
      if (rest === '') {
        if (all.length === 0) return ctx.out.note(`${agent} has no personalities.`);
        const now = talk.asking.personality ?? all.find(({ isDefault }) => isDefault)?.name;
        for (const { name, description } of all)
          ctx.out.note(`${name === now ? '*' : ' '} ${cell(name)}  ${cell(description)}`);
        return;
      }
      const near = nearest(
        rest,
        all.map(({ name }) => name),
        1,
      )[0];
      if (rest !== 'none' && all.every(({ name }) => name !== rest))
        throw new McpctlError('personality_not_found', near ? `Did you mean ${near}?` : undefined);
      talk.asking = { ...talk.asking, personality: rest };
    },
  },
  usage: usageSlash,
};

/** What a person may say of a conversation with an agent. */
export const slashes: Slashes<Talk> = { commands, aliases: { clear: 'new' } };
