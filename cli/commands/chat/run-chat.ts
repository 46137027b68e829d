import type { AskPerson } from '../../talk/slash.ts';
import { McpctlError } from '../../../core/errors.ts';
import { CUT_WORDS, showAnswer } from '../../answer.ts';
import { Cancelled } from '../../exit.ts';
import { messageSaid } from '../../talk/message.ts';
import { noUsage } from '../../talk/usage.ts';
import type { Client } from '../../net/client.ts';
import type { Place } from '../../net/turn/stream.ts';
import type { SeenThread, TurnAnswer, TurnCall } from '../../net/turn/calls.ts';
import { cell } from '../../say/text.ts';
import type { Context } from '../../who/context.ts';
import { converse } from './converse.ts';
import { ask as askOnce, mayAsk } from '../../input/question.ts';
import { askingOf, type AskingOptions } from './asking.ts';
import { resultsOf } from './tools.ts';
import {
  answerCalls,
  followingOf,
  forget,
  keepForNow,
  seeing,
  stoppable,
  stopped,
  turnCallOf,
  writerFor,
  type Talk,
} from './turn.ts';
import { uuidSchema } from '../../../core/names.ts';

export interface ChatOptions extends AskingOptions {
  message?: string | undefined;
  thread?: string | undefined;
  continue: boolean;
  async: boolean;
  output?: 'json' | undefined;
  ephemeral: boolean;
}

export async function runChat(ctx: Context, options: ChatOptions): Promise<void> {
  const asking = await askingOf(ctx, options);
  const message = await messageSaid(ctx, options);
  if (message !== null && asking.tools.commands.size > 0 && !asking.tools.unasked && !mayAsk(ctx))
    throw new McpctlError(
      'usage',
      '--tool asks before it runs a command, and nobody can be asked here: say --yes-tools.',
    );
  const client = await ctx.client();
  const thread = await threadMeant(client, options);
  if (options.continue && !thread)
    ctx.out.note(`There is no thread with ${options.agent} yet; a new one begins.`);
  const talk: Talk = {
    asking,
    threadId: thread?.id ?? null,
    usage: noUsage(),
    isEphemeral: options.ephemeral,
  };
  if (message === null && options.output)
    throw new McpctlError('usage', '-o json is of one message: say it with --message, or send it on stdin.');
  if (message === null) return await converse(ctx, client, { talk, thread });
  if (options.async) return await leave(ctx, client, { talk, message });
  if (options.ephemeral) await keepForNow(ctx, client, talk);
  try {
    if (options.output === 'json' || !asking.stream)
      await whole(ctx, client, { talk, message, asJson: options.output === 'json' });
    else await streamed(ctx, client, { talk, message });
  } finally {
    if (options.ephemeral) await forget(client, talk);
  }
}

interface Once {
  talk: Talk;
  message: string;
}

/** Always in the same words, on stderr. */
const sayThread = (ctx: Context, threadId: string): void => ctx.out.note(`thread: ${threadId}`);

const onceCall = ({ talk, message }: Once): TurnCall =>
  turnCallOf({ ...talk, asking: { ...talk.asking, stream: false } }, message);

/** Sends a message, and waits for nothing. */
async function leave(ctx: Context, client: Client, once: Once): Promise<void> {
  const { threadId, taskId } = await client.turns.async(onceCall(once));
  ctx.out.line(taskId ?? '');
  sayThread(ctx, threadId);
}

/** Where a person is there, they are asked. */
const askerOf =
  (ctx: Context): AskPerson =>
  async (question) =>
    mayAsk(ctx) ? await askOnce(ctx, { prompt: question }) : null;

/** What is asked, until it is answered or Ctrl-C has stopped it on the server. @throws Cancelled in that case. */
async function untilStopped<T>(
  ctx: Context,
  stop: () => Promise<unknown>,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { signal, release, stopping } = stoppable(ctx, stop);
  try {
    return await ask(signal);
  } catch (thrown) {
    if (!stopping()) throw thrown;
    await stopping();
    throw new Cancelled();
  } finally {
    release();
  }
}

/** One message and its answer in one piece, also once tools were called. */
async function whole(
  ctx: Context,
  client: Client,
  { asJson, ...once }: Once & { asJson: boolean },
): Promise<void> {
  const { tools } = once.talk.asking;
  const call = onceCall(once);
  let place: Place | null = null;
  const asked = (ask: (signal: AbortSignal) => Promise<TurnAnswer>): Promise<TurnAnswer> =>
    untilStopped(ctx, () => stopped(client, { call, place }), ask);
  let answer = await asked((signal) => client.turns.once({ ...call, signal }));
  for (;;) {
    if (answer.backendTruncated === true) ctx.out.note(CUT_WORDS);
    const at: Place = { threadId: answer.threadId, turn: answer.turn };
    place = at;
    const calls = answer.toolCalls ?? [];
    if (calls.length === 0 || tools.commands.size === 0) break;
    const results = await resultsOf(ctx, calls, { tools, ask: askerOf(ctx) });
    if (results.length < calls.length) break;
    answer = await asked((signal) => client.turns.resultsOnce({ place: at, results, signal }));
  }
  if (asJson) ctx.out.data(`${JSON.stringify(answer)}\n`);
  else {
    const writer = writerFor(ctx, once.talk.asking);
    writer.write(answer.assistant.endsWith('\n') ? answer.assistant : `${answer.assistant}\n`);
    writer.end();
  }
  if (!asJson) sayWaiting(ctx, answer);
  if (!once.talk.isEphemeral) sayThread(ctx, answer.threadId);
}

function sayWaiting(ctx: Context, { toolCalls = [], turn }: TurnAnswer): void {
  for (const { name, arguments: given } of toolCalls) ctx.out.dim(`→ ${cell(name)} ${cell(given)}\n`);
  if (toolCalls.length > 0) ctx.out.note(`(Turn ${turn} waits for results of tools.)`);
}

/** One message, its answer as it comes, and what follows from the tools that it calls. */
async function streamed(ctx: Context, client: Client, { talk, message }: Once): Promise<void> {
  let place: Place | null = null;
  let called = false;
  const seen = (now: Place): void => void ((place = now), (talk.threadId = now.threadId));
  const following = followingOf(ctx, seen);
  const call = turnCallOf(talk, message);
  const stop = (): Promise<void> => stopped(client, { call, place }).then(seen);
  try {
    await untilStopped(ctx, stop, async (signal) => {
      const events = seeing(
        client.turns.stream({ ...call, signal }, following),
        ({ kind }) => (called ||= kind === 'calls'),
      );
      await showAnswer(ctx, events, {
        thinking: talk.asking.thinking,
        writer: writerFor(ctx, talk.asking),
      });
    });
    if (!called || !place) return;
    if (await answerCalls(ctx, client, { talk, place, ask: askerOf(ctx) })) throw new Cancelled();
  } finally {
    if (talk.threadId !== null && !talk.isEphemeral) sayThread(ctx, talk.threadId);
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
