import { randomUUID } from 'node:crypto';
import { McpctlError } from '../../../core/errors.ts';
import { showAnswer } from '../../answer.ts';
import { Cancelled, failureOf } from '../../exit.ts';
import type { Client } from '../../net/client.ts';
import type { InferEvent } from '../../net/infer.ts';
import type { Following, Place, TurnCall } from '../../net/turns.ts';
import { counted, type Usage } from '../../talk/usage.ts';
import type { Context } from '../../who/context.ts';

/** How an agent is asked, whatever is said. */
export interface Asking {
  agent: string;
  /** One of the agent's; `none` = none, in spite of its default. */
  personality?: string | undefined;
  systemAppend?: string | undefined;
  temperature?: number | undefined;
  maxTokens?: number | undefined;
  /** `name=value`, each a parameter of the chat, over the others. */
  param: readonly string[];
  onBusy?: 'queue' | 'reject' | 'interrupt' | undefined;
  stream: boolean;
  pin?: string | undefined;
}

/** A conversation: where it is, and what it took. */
export interface Talk {
  asking: Asking;
  threadId: string | null;
  usage: Usage;
  /** How many older turns were left out when that was said last. */
  leftOut?: number;
}

const leftOutWords = (turns: number, tokens: number): string =>
  `(${turns === 1 ? 'An older turn is' : `${turns} older turns are`} left out: ${tokens} tokens is the limit.)`;

/** A value is JSON where it is any, else text. @throws McpctlError `usage`. */
function paramsOf(params: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    params.map((param): [string, unknown] => {
      const at = param.indexOf('=');
      if (at < 1)
        throw new McpctlError(
          'usage',
          `--param is written like top_p=0.9, and not ${JSON.stringify(param)}.`,
        );
      const value = param.slice(at + 1);
      try {
        return [param.slice(0, at), JSON.parse(value)];
      } catch {
        return [param.slice(0, at), value];
      }
    }),
  );
}

export function turnCallOf(
  { asking, threadId }: Pick<Talk, 'asking' | 'threadId'>,
  message: string,
): TurnCall {
  const { agent, personality, param, onBusy, systemAppend, temperature, maxTokens, pin } = asking;
  const params = {
    ...(temperature !== undefined && { temperature }),
    ...(maxTokens !== undefined && { max_tokens: maxTokens }),
    ...paramsOf(param),
    ...(asking.stream && { stream_options: { include_usage: true } }),
  };
  const body = {
    message,
    ...(personality !== undefined && { personality: personality === 'none' ? '' : personality }),
    ...(systemAppend !== undefined && { systemAppend }),
    ...(Object.keys(params).length > 0 && { params }),
    ...(onBusy !== undefined && { onBusy }),
    ...(asking.stream && { stream: true }),
  };
  return { agent, threadId, body, pin, key: randomUUID() };
}

export const followingOf = (
  { clock, out }: Pick<Context, 'clock' | 'out'>,
  onPlace: (place: Place) => void,
): Following => ({
  clock,
  note: (line) => out.note(line),
  onPlace,
});

/** Says something in the thread of a talk, and shows the answer. @returns whether Ctrl-C stopped it. */
export async function say(
  ctx: Context,
  client: Client,
  { talk, message }: { talk: Talk; message: string },
): Promise<boolean> {
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
  };
  const open = (signal: AbortSignal): AsyncIterable<InferEvent> =>
    talk.asking.stream
      ? client.turns.stream({ ...call, signal }, followingOf(ctx, seen))
      : wholeOf(client, { ...call, signal }, seen);
  return await shown(ctx, {
    talk,
    open,
    stop: async () => await stopped(client, { call, place }).then(seen),
  });
}

/** Asks once more what a turn asked, the last one. */
export async function again(
  ctx: Context,
  client: Client,
  { talk, place, pin }: { talk: Talk; place: Place; pin: string | undefined },
): Promise<boolean> {
  let current: Place | null = null;
  const following = followingOf(ctx, (now) => (current = now));
  const open = (signal: AbortSignal): AsyncIterable<InferEvent> =>
    client.turns.retry({ place, pin, key: randomUUID(), signal }, following);
  const stop = (): Promise<void> => client.turns.cancel(current ?? { ...place, turn: place.turn + 1 });
  return await shown(ctx, { talk, open, stop });
}

/** Shows what is left of an answer that is under way. */
export async function rejoin(
  ctx: Context,
  client: Client,
  { talk, place, taskId }: { talk: Talk; place: Place; taskId: string },
): Promise<boolean> {
  const open = (signal: AbortSignal): AsyncIterable<InferEvent> =>
    client.turns.follow(taskId, { ...followingOf(ctx, () => undefined), signal });
  return await shown(ctx, { talk, open, stop: () => client.turns.cancel(place) });
}

/** Cancels the turn of a call; one that is not known yet is asked for by its key. */
async function stopped(
  client: Client,
  { call, place }: { call: TurnCall; place: Place | null },
): Promise<Place> {
  const placed = place ?? (await client.turns.async(call));
  await client.turns.cancel(placed);
  return { threadId: placed.threadId, turn: placed.turn };
}

async function* wholeOf(
  client: Client,
  call: TurnCall,
  onPlace: (place: Place) => void,
): AsyncGenerator<InferEvent> {
  const { threadId, turn, assistant, reasoning, usage, finishReason, leftOut, contextLength } =
    await client.turns.once(call);
  onPlace({ threadId, turn, leftOut, contextLength });
  if (reasoning !== undefined) yield { kind: 'reasoning', text: reasoning };
  if (assistant !== '') yield { kind: 'text', text: assistant };
  if (finishReason !== null) yield { kind: 'finish', reason: finishReason };
  if (usage)
    yield { kind: 'usage', promptTokens: usage.promptTokens, completionTokens: usage.completionTokens };
}

interface Showing {
  talk: Talk;
  open: (signal: AbortSignal) => AsyncIterable<InferEvent>;
  stop: () => Promise<void>;
}

/** One answer; an error is said and does not end the conversation. */
async function shown(ctx: Context, { talk, open, stop }: Showing): Promise<boolean> {
  const reading = new AbortController();
  let stopping: Promise<void> | undefined;
  // Lets go at once: a Ctrl-C while the answer still stops leaves the program.
  const release = ctx.interrupts.take(() => {
    release();
    stopping = stop().finally(() => reading.abort());
    stopping.catch(() => undefined);
  });
  try {
    await showAnswer(ctx, counted(open(reading.signal), talk.usage));
  } catch (thrown) {
    if (ctx.interrupts.signal.aborted) throw new Cancelled();
    if (!stopping) ctx.terminal.stderr.write(failureOf(thrown).text);
  } finally {
    release();
  }
  try {
    await stopping;
    if (stopping) ctx.out.note('(Stopped; Ctrl-C again to leave.)');
  } catch (thrown) {
    ctx.terminal.stderr.write(failureOf(thrown).text);
  }
  return stopping !== undefined;
}
