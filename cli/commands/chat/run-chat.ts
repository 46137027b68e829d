import { McpctlError } from '../../../core/errors.ts';
import { showAnswer } from '../../answer.ts';
import { messageSaid } from '../../talk/message.ts';
import { noUsage } from '../../talk/usage.ts';
import type { Client } from '../../net/client.ts';
import { CUT_WORDS, type SeenThread } from '../../net/turns.ts';
import type { Context } from '../../who/context.ts';
import { converse } from './converse.ts';
import { followingOf, turnCallOf, type Asking, type Talk } from './turn.ts';
import { uuidSchema } from '../../../core/names.ts';

export interface ChatOptions extends Asking {
  message?: string | undefined;
  thread?: string | undefined;
  continue: boolean;
  async: boolean;
  output?: 'json' | undefined;
}

export async function runChat(ctx: Context, options: ChatOptions): Promise<void> {
  const message = await messageSaid(ctx, options);
  const client = await ctx.client();
  const thread = await threadMeant(client, options);
  if (options.continue && !thread)
    ctx.out.note(`There is no thread with ${options.agent} yet; a new one begins.`);
  const talk: Talk = { asking: options, threadId: thread?.id ?? null, usage: noUsage() };
  if (message === null && options.output)
    throw new McpctlError('usage', '-o json is of one message: say it with --message, or send it on stdin.');
  if (message === null) return await converse(ctx, client, { talk, thread });
  await once(ctx, client, { talk, message, async: options.async, asJson: options.output === 'json' });
}

/** One message and its answer; where the thread is said on stderr, always in the same words. */
async function once(
  ctx: Context,
  client: Client,
  { talk, message, async: leaves, asJson }: { talk: Talk; message: string; async: boolean; asJson: boolean },
): Promise<void> {
  const isWhole = leaves || asJson || !talk.asking.stream;
  const call = turnCallOf(isWhole ? { ...talk, asking: { ...talk.asking, stream: false } } : talk, message);
  const say = (threadId: string): void => ctx.out.note(`thread: ${threadId}`);
  if (leaves) {
    const { threadId, taskId } = await client.turns.async(call);
    ctx.out.line(taskId ?? '');
    return say(threadId);
  }
  if (isWhole) {
    const answer = await client.turns.once(call);
    const { threadId, assistant, backendTruncated = false } = answer;
    if (backendTruncated) ctx.out.note(CUT_WORDS);
    if (asJson) {
      ctx.out.data(`${JSON.stringify(answer)}\n`);
      return say(threadId);
    }
    ctx.out.data(assistant.endsWith('\n') ? assistant : `${assistant}\n`);
    return say(threadId);
  }
  let threadId = talk.threadId;
  const following = followingOf(ctx, (place) => (threadId = place.threadId));
  try {
    await showAnswer(ctx, client.turns.stream({ ...call, signal: ctx.interrupts.signal }, following));
  } finally {
    if (threadId !== null) say(threadId);
  }
}

/** How many threads the beginning of an id is looked for in. */
const MOST = 200;

/** The thread that is meant; null: a new one. @throws McpctlError `thread_not_found`, `usage`. */
async function threadMeant(
  client: Client,
  { agent, thread, continue: goesOn }: { agent: string; thread?: string | undefined; continue: boolean },
): Promise<SeenThread | null> {
  if (goesOn) return (await client.turns.threads(agent, 1))[0] ?? null;
  if (thread === undefined) return null;
  if (uuidSchema.safeParse(thread).success) return await client.turns.thread(thread);
  const begins = thread.toLowerCase();
  const threads = (await client.turns.threads(agent, MOST)).filter(({ id }) => id.startsWith(begins));
  const [only, ...others] = threads;
  if (only && others.length === 0) return only;
  if (!only)
    throw new McpctlError(
      'thread_not_found',
      `None of your newest threads with ${agent} begins with "${thread}". See: mcpctl get thread.`,
    );
  throw new McpctlError('usage', `${threads.length} threads begin with "${thread}"; say more of the id.`);
}
