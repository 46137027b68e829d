import { randomUUID } from 'node:crypto';
import { McpctlError } from '../../../core/errors.ts';
import { showAnswer } from '../../answer.ts';
import { Cancelled, failureOf } from '../../exit.ts';
import type { Client } from '../../net/client.ts';
import type { InferEvent } from '../../net/infer.ts';
import type { Following, Place } from '../../net/turn/stream.ts';
import type { TurnAnswer, TurnCall } from '../../net/turn/calls.ts';
import { markdownWriter, rawWriter, type TextWriter } from '../../say/markdown.ts';
import { cell } from '../../say/text.ts';
import type { AskPerson } from '../../talk/slash.ts';
import { counted, type Usage } from '../../talk/usage.ts';
import type { Context } from '../../who/context.ts';
import { resultsOf, type Tools } from './tools.ts';

/** How an agent is asked, whatever is said. */
export interface Asking {
  agent: string;
  /** One of the agent's; `none` = none, in spite of its default. */
  personality?: string | undefined;
  /** In place of the agent's system prompt; `none` = without it. */
  system?: string | undefined;
  systemAppend?: string | undefined;
  /** Of the chat, over the agent's defaults; null takes a default away. */
  params: Readonly<Record<string, unknown>>;
  /** What it may call. */
  tools: Tools;
  onBusy?: 'queue' | 'reject' | 'interrupt' | undefined;
  stream: boolean;
  truncation?: 'auto' | 'disabled' | undefined;
  /** Whether reasoning is shown. */
  thinking: boolean;
  /** Whether an answer is shown as the Markdown that it is, on a terminal. */
  markdown: boolean;
  pin?: string | undefined;
}

/** A conversation: where it is, and what it took. */
export interface Talk {
  asking: Asking;
  threadId: string | null;
  usage: Usage;
  /** How many older turns were left out when that was said last. */
  leftOut?: number;
  /** Tokens that the llm takes, as it says itself. */
  contextLength?: number | undefined;
  /** Who answered last, where that was said. */
  servedBy?: string | undefined;
  /** The thread is deleted on leaving. */
  isEphemeral?: boolean;
  /** The open turn waits for results that nobody here gives: what is said next ends it. */
  abandons?: boolean;
}

const leftOutWords = (turns: number, tokens: number): string =>
  `(${turns === 1 ? 'An older turn is' : `${turns} older turns are`} left out: ${tokens} tokens is the limit.)`;

export function turnCallOf(
  { asking, threadId, abandons }: Pick<Talk, 'asking' | 'threadId' | 'abandons'>,
  message: string,
): TurnCall {
  const { agent, onBusy, truncation, tools, pin } = asking;
  const params = { ...asking.params, ...(asking.stream && { stream_options: { include_usage: true } }) };
  const body = {
    message,
    ...personaIn(asking),
    ...(Object.keys(params).length > 0 && { params }),
    ...(tools.definitions.length > 0 && { tools: tools.definitions }),
    ...(onBusy !== undefined && { onBusy }),
    ...(truncation !== undefined && { truncation }),
    ...(abandons === true && { onPending: 'abandon' }),
    ...(asking.stream && { stream: true }),
  };
  return { agent, threadId, body, pin, key: randomUUID() };
}

/** What is asked where nothing is said, to be told of what it would be made. */
export const composeBody = (asking: Asking): Record<string, unknown> => ({
  message: '…',
  ...personaIn(asking),
});

/** As whom the agent answers, where that is said. */
const personaIn = ({ personality, system, systemAppend }: Asking): Record<string, string> => ({
  ...(personality !== undefined && { personality: personality === 'none' ? '' : personality }),
  ...(system !== undefined && { system: system === 'none' ? '' : system }),
  ...(systemAppend !== undefined && { systemAppend }),
});

export const followingOf = (
  { clock, out }: Pick<Context, 'clock' | 'out'>,
  onPlace: (place: Place) => void,
): Following => ({
  clock,
  note: (line) => out.note(line),
  onPlace,
});

/** Into a pipe, and where no colours are wanted, an answer goes as it is. */
export const writerFor = (
  { out, terminal }: Pick<Context, 'out' | 'terminal'>,
  { markdown }: Pick<Asking, 'markdown'>,
): TextWriter =>
  markdown && terminal.tty.stdout && terminal.colour.stdout ? markdownWriter(out) : rawWriter(out);

const DAY_MS = 86_400_000;

/** One that nobody is to come back to goes in any case, also where this program is killed: a day behind what was said last. */
export async function keepForNow(
  { clock }: Pick<Context, 'clock'>,
  client: Client,
  talk: Talk,
): Promise<void> {
  const expiresAt = new Date(clock.now() + DAY_MS).toISOString();
  if (talk.threadId === null) talk.threadId = await client.turns.begin(talk.asking.agent, { expiresAt });
  else await client.turns.change(talk.threadId, { expiresAt });
}

/** Deletes an ephemeral thread. What cannot be deleted now goes by itself. */
export async function forget(client: Client, talk: Talk): Promise<void> {
  const { threadId } = talk;
  if (threadId === null) return;
  talk.threadId = null;
  await client.turns.delete(threadId).catch((thrown: unknown) => {
    if (!(thrown instanceof McpctlError)) throw thrown;
  });
}

/** Says something in the thread of a talk, and shows what is answered, also once tools were called. @returns whether Ctrl-C stopped it. */
export async function say(
  ctx: Context,
  client: Client,
  { talk, message, ask }: { talk: Talk; message: string; ask: AskPerson },
): Promise<boolean> {
  if (talk.isEphemeral) await keepForNow(ctx, client, talk);
  const call = turnCallOf(talk, message);
  let place: Place | null = null;
  const seen = (now: Place): void => {
    const { leftOut, contextLength } = now;
    if (place === null && leftOut !== undefined && contextLength !== undefined && leftOut !== talk.leftOut) {
      talk.leftOut = leftOut;
      ctx.out.note(leftOutWords(leftOut, contextLength));
    }
    place = now;
    talk.threadId = now.threadId;
    talk.abandons = false;
  };
  const open = (signal: AbortSignal): AsyncIterable<InferEvent> =>
    talk.asking.stream
      ? client.turns.stream({ ...call, signal }, followingOf(ctx, seen))
      : wholeOf(client.turns.once({ ...call, signal }), seen);
  return await shown(ctx, client, {
    ...{ talk, ask, open },
    place: () => place,
    stop: async () => await stopped(client, { call, place }).then(seen),
  });
}

/** Asks once more what a turn asked, the last one. */
export async function again(
  ctx: Context,
  client: Client,
  { talk, place, pin, ask }: { talk: Talk; place: Place; pin: string | undefined; ask: AskPerson },
): Promise<boolean> {
  let current: Place | null = null;
  const following = followingOf(ctx, (now) => (current = now));
  const open = (signal: AbortSignal): AsyncIterable<InferEvent> =>
    client.turns.retry({ place, pin, key: randomUUID(), signal }, following);
  const stop = (): Promise<void> => client.turns.cancel(current ?? { ...place, turn: place.turn + 1 });
  return await shown(ctx, client, { talk, ask, open, stop, place: () => current });
}

/** Has the last answer written on from where it was cut short. */
export async function goOn(
  ctx: Context,
  client: Client,
  { talk, place, ask }: { talk: Talk; place: Place; ask: AskPerson },
): Promise<boolean> {
  const following = followingOf(ctx, () => undefined);
  const open = (signal: AbortSignal): AsyncIterable<InferEvent> =>
    client.turns.goOn({ place, key: randomUUID(), signal }, following);
  const stop = (): Promise<void> => client.turns.cancel(place);
  return await shown(ctx, client, { talk, ask, open, stop, place: () => place });
}

/** Shows what is left of an answer that is under way. */
export async function rejoin(
  ctx: Context,
  client: Client,
  { talk, place, taskId, ask }: { talk: Talk; place: Place; taskId: string; ask: AskPerson },
): Promise<boolean> {
  const open = (signal: AbortSignal): AsyncIterable<InferEvent> =>
    client.turns.follow(taskId, { ...followingOf(ctx, () => undefined), signal });
  const stop = (): Promise<void> => client.turns.cancel(place);
  return await shown(ctx, client, { talk, ask, open, stop, place: () => place });
}

/** Runs the tools that a turn waits for, and shows what is answered then, until none is called any more. */
export async function answerCalls(
  ctx: Context,
  client: Client,
  { talk, place, ask }: { talk: Talk; place: Place; ask: AskPerson },
): Promise<boolean> {
  const { signal: left } = ctx.interrupts;
  const calls = await client.turns.calls(place, left);
  if (calls.length === 0) return false;
  const results = await resultsOf(ctx, calls, { tools: talk.asking.tools, ask });
  if (results.length < calls.length) {
    if (results.length > 0) await client.turns.someResults({ place, results });
    talk.abandons = true;
    ctx.out.note(`(Turn ${place.turn} waits for a result; what you say next goes on without it.)`);
    return false;
  }
  const following = followingOf(ctx, () => undefined);
  const open = (signal: AbortSignal): AsyncIterable<InferEvent> =>
    talk.asking.stream
      ? client.turns.results({ place, results, signal }, following)
      : wholeOf(client.turns.resultsOnce({ place, results, signal }), () => undefined);
  const stop = (): Promise<void> => client.turns.cancel(place);
  return await shown(ctx, client, { talk, ask, open, stop, place: () => place });
}

/** Has Ctrl-C stop an answer on the server. It lets go at once: another, while that still stops, leaves the program. */
export function stoppable(
  { interrupts }: Pick<Context, 'interrupts'>,
  stop: () => Promise<unknown>,
): { signal: AbortSignal; release: () => void; stopping: () => Promise<unknown> | undefined } {
  const reading = new AbortController();
  let stopping: Promise<unknown> | undefined;
  const release = interrupts.take(() => {
    release();
    stopping = stop().finally(() => reading.abort());
    stopping.catch(() => undefined);
  });
  return { signal: reading.signal, release, stopping: () => stopping };
}

/** Cancels the turn of a call; one that is not known yet is asked for by its key. */
export async function stopped(
  client: Client,
  { call, place }: { call: TurnCall; place: Place | null },
): Promise<Place> {
  const placed = place ?? (await client.turns.async(call));
  await client.turns.cancel(placed);
  return { threadId: placed.threadId, turn: placed.turn };
}

async function* wholeOf(
  answer: Promise<TurnAnswer>,
  onPlace: (place: Place) => void,
): AsyncGenerator<InferEvent> {
  const { assistant, reasoning, toolCalls, serverCalls, usage, finishReason, backendTruncated, ...place } =
    await answer;
  onPlace(place);
  if (serverCalls) yield { kind: 'server calls', calls: serverCalls };
  if (reasoning !== undefined) yield { kind: 'reasoning', text: reasoning };
  if (assistant !== '') yield { kind: 'text', text: assistant };
  if (toolCalls !== undefined && toolCalls.length > 0) yield { kind: 'calls' };
  if (backendTruncated) yield { kind: 'prompt cut' };
  if (finishReason !== null) yield { kind: 'finish', reason: finishReason };
  if (usage)
    yield { kind: 'usage', promptTokens: usage.promptTokens, completionTokens: usage.completionTokens };
}

interface Showing {
  talk: Talk;
  ask: AskPerson;
  open: (signal: AbortSignal) => AsyncIterable<InferEvent>;
  stop: () => Promise<void>;
  /** Where the answer is, once that was said. */
  place: () => Place | null;
}

function contextWords({ usage: { last }, contextLength }: Talk): string {
  return last === undefined || contextLength === undefined
    ? ''
    : ` · context ${Math.round((100 * last) / contextLength)} %`;
}

/** One answer, and what follows from the tools that it calls; an error is said and does not end the conversation. */
async function shown(
  ctx: Context,
  client: Client,
  { talk, ask, open, stop, place }: Showing,
): Promise<boolean> {
  const { signal, release, stopping } = stoppable(ctx, stop);
  let called = false;
  try {
    const events = seeing(open(signal), ({ kind }) => (called ||= kind === 'calls'));
    await showAnswer(ctx, counted(events, talk.usage), {
      thinking: talk.asking.thinking,
      writer: writerFor(ctx, talk.asking),
      about: () => contextWords(talk),
    });
  } catch (thrown) {
    called = false;
    if (ctx.interrupts.signal.aborted) throw new Cancelled();
    if (!stopping()) ctx.terminal.stderr.write(failureOf(thrown).text);
  } finally {
    release();
  }
  try {
    await stopping();
    if (stopping()) ctx.out.note('(Stopped; Ctrl-C again to leave.)');
  } catch (thrown) {
    ctx.terminal.stderr.write(failureOf(thrown).text);
  }
  const where = place();
  if (stopping() || where === null) return stopping() !== undefined;
  await sayWho(ctx, client, { talk, place: where });
  return called ? await answerCalls(ctx, client, { talk, place: where, ask }) : false;
}

/** The same events, each of them seen. */
export async function* seeing(
  events: AsyncIterable<InferEvent>,
  see: (event: InferEvent) => void,
): AsyncGenerator<InferEvent> {
  for await (const event of events) {
    see(event);
    yield event;
  }
}

/** Says who has answered where that is another than before, and why where that one is away. What cannot be asked is left unsaid. */
async function sayWho(
  ctx: Context,
  client: Client,
  { talk, place }: { talk: Talk; place: Place },
): Promise<void> {
  try {
    const last = (await client.turns.messages(place.threadId, 1))[0];
    const { servedBy: before } = talk;
    if (last?.servedBy == null || last.servedBy === before) return;
    talk.servedBy = last.servedBy;
    if (before === undefined) return;
    const status = (await client.llms.get(before)).view.status;
    const why = status === 'active' || status === undefined ? '' : `: ${cell(before)} is ${cell(status)}`;
    ctx.out.dim(`(Answered by ${cell(last.servedBy)}${why}.)\n`);
  } catch (thrown) {
    if (!(thrown instanceof McpctlError)) throw thrown;
  }
}
