import { z } from 'zod';
import type { Clock } from '../../../core/runtime/clock.ts';
import { toTheEnd } from '../follow.ts';
import type { Call, Http } from '../http.ts';
import { ADMISSION_MS, eventsOf, type InferEvent } from '../infer.ts';
import { openEvents, type ServerEvent } from '../sse.ts';

/** Where an answer is. */
export interface Place {
  threadId: string;
  turn: number;
  /** How many older turns are left out of what was asked, and how many tokens the members take. */
  leftOut?: number | undefined;
  contextLength?: number | undefined;
}

/** Where the answer goes on that broke off, and who hears of it. */
export interface Following {
  clock: Pick<Clock, 'elapsed'>;
  note: (line: string) => void;
  onPlace: (place: Place) => void;
}

const placeSchema = z.object({
  mcpctl: z.object({
    threadId: z.string(),
    turn: z.number(),
    leftOut: z.number().optional(),
    contextLength: z.number().optional(),
  }),
});

function placeIn(data: string): Place | null {
  if (!data.includes('"threadId"')) return null;
  try {
    return placeSchema.safeParse(JSON.parse(data)).data?.mcpctl ?? null;
  } catch {
    return null;
  }
}

interface Followed {
  /** What is open already. */
  first: AsyncIterable<ServerEvent> | null;
  taskId: string | null;
  signal?: AbortSignal | undefined;
}

/** The answer of a turn, and where it is. */
export function followed(
  http: Http,
  { first, taskId, signal }: Followed,
  { clock, note, onPlace }: Following,
): AsyncGenerator<InferEvent> {
  let threadId = '';
  const show = function* (data: string): Generator<InferEvent> {
    const place = placeIn(data);
    if (place) onPlace(place);
    threadId = place?.threadId ?? threadId;
    if (data.includes('"backendTruncated":true')) yield { kind: 'prompt cut' };
    yield* eventsOf(data, taskId);
  };
  const open =
    taskId === null
      ? null
      : (after: string | undefined) => reopened(http, { taskId, threadId, after, signal });
  return toTheEnd({ first, open, show, what: 'answer' }, { clock, note, signal });
}

export const accept = 'text/event-stream, application/json';

/** The answer to a call, from its first word to its end. */
export async function* asItComes(http: Http, call: Call, following: Following): AsyncGenerator<InferEvent> {
  const { events, taskId } = await openEvents(http, { ...call, limitMs: ADMISSION_MS });
  yield* followed(http, { first: events, taskId, signal: call.signal }, following);
}

async function reopened(
  http: Http,
  {
    taskId,
    threadId,
    after,
    signal,
  }: { taskId: string; threadId: string; after: string | undefined; signal: AbortSignal | undefined },
): Promise<AsyncIterable<ServerEvent>> {
  // An answer of many rounds has many tasks: its thread knows them.
  const isOfThread = threadId !== '' && after !== undefined && /^\d+[.]\d+[.]/.test(after);
  const at = isOfThread ? `threads/${encodeURIComponent(threadId)}` : `tasks/${encodeURIComponent(taskId)}`;
  const path = `/api/v1/${at}/stream`;
  const call: Call = { method: 'GET', path, query: { after }, headers: { accept }, limitMs: ADMISSION_MS };
  return (await openEvents(http, signal ? { ...call, signal } : call)).events;
}
