import { catalogueEntry } from '../../../core/resources/catalogue.ts';
import { agent as agentResource } from '../../../core/resources/talk/agent.ts';
import type { Client } from '../../net/client.ts';
import type { SeenThread } from '../../net/turns.ts';
import { cell } from '../../say/text.ts';
import { converseWith, ruled } from '../../talk/conversation.ts';
import type { Context } from '../../who/context.ts';
import { slashes, tell } from './slash.ts';
import { rejoin, say, type Talk } from './turn.ts';

/** How much of a thread is shown to who comes back: two questions and their answers. */
const SHOWN = 4;

/** Who is about to answer, and where, between rules. @throws McpctlError `agent_not_found`. */
async function bannerFor(client: Client, talk: Talk, columns: number): Promise<string[]> {
  const { raw } = await client.resources.get(catalogueEntry(agentResource), talk.asking.agent);
  const field = (name: string): string => {
    const value = raw[name];
    return typeof value === 'string' && value !== '' ? cell(value) : '';
  };
  const description = field('description');
  const facts = [
    `Agent: ${field('name')}${description === '' ? '' : `  ${description}`}`,
    `LLM: ${field('llm')} → pool ${field('pool')} (${field('status')})`,
    ...personalityFacts(field('defaultPersonality'), talk.asking.personality),
    talk.threadId === null ? 'Thread: a new one' : `Thread: ${talk.threadId}`,
  ];
  return ruled(facts, columns);
}

function personalityFacts(usual: string, asked: string | undefined): string[] {
  if (asked !== undefined) return [`Personality: ${cell(asked)}`];
  return usual === '' ? [] : [`Personality: ${usual} (default)`];
}

/** Talks with a person until Ctrl-D. @throws Cancelled when Ctrl-C leaves. */
export async function converse(
  ctx: Context,
  client: Client,
  { talk, thread }: { talk: Talk; thread: SeenThread | null },
): Promise<void> {
  for (const line of await bannerFor(client, talk, ctx.terminal.size().columns)) ctx.out.note(line);
  if (thread) await comeBack(ctx, client, { talk, thread });
  const exchange = (message: string): Promise<boolean> => say(ctx, client, { talk, message });
  try {
    await converseWith(ctx, client, { talk, slashes, exchange });
  } finally {
    ctx.out.note('');
    if (talk.threadId !== null)
      ctx.out.note(`resume: mcpctl chat ${talk.asking.agent} --thread ${talk.threadId}`);
  }
}

/** Shows what was said last, and the answer that is under way, as it goes on. */
async function comeBack(
  ctx: Context,
  client: Client,
  { talk, thread }: { talk: Talk; thread: SeenThread },
): Promise<void> {
  await tell(ctx, client, { threadId: thread.id, last: SHOWN });
  const { openTurn } = await client.turns.thread(thread.id);
  if (openTurn?.taskId == null) return;
  const place = { threadId: thread.id, turn: openTurn.n };
  await rejoin(ctx, client, { talk, place, taskId: openTurn.taskId });
}
