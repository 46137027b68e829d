import { z } from 'zod';
import {
  messageViewSchema,
  threadViewSchema,
  turnAnswerSchema,
  turnDetailSchema,
  turnViewSchema,
} from '../../../core/agent/thread.ts';
import { composedViewSchema } from '../../../core/agent/composed-view.ts';
import { toolCallSchema } from '../../../core/agent/assemble.ts';
import { pause } from '../../../core/runtime/clock.ts';
import type { Call, Http } from '../http.ts';
import { ONCE_MS, type InferEvent } from '../infer.ts';
import { accept, asItComes, followed, type Following, type Place } from './stream.ts';
import { readAnswer } from '../views.ts';

/** What is said to an agent. Made again under the same key it is the same turn. */
export interface TurnCall {
  agent: string;
  /** Null: a new thread. */
  threadId: string | null;
  body: Readonly<Record<string, unknown>>;
  pin?: string | undefined;
  key: string;
  signal?: AbortSignal;
}

const seenThreadSchema = threadViewSchema.pick({
  id: true,
  title: true,
  turns: true,
  openTurn: true,
  lastTurnAt: true,
});
export type SeenThread = z.infer<typeof seenThreadSchema>;
const seenMessageSchema = messageViewSchema
  .pick({ role: true, content: true, status: true, turn: true })
  .extend({
    inContext: z.boolean().default(true),
    toolCalls: z.array(toolCallSchema).optional(),
    toolCallId: z.string().optional(),
    servedBy: z.string().nullish(),
  });
type SeenCall = z.infer<typeof toolCallSchema>;
const seenTurnSchema = turnViewSchema.pick({ threadId: true, turn: true, status: true, taskId: true });
/** Of a server that runs none there are none. */
const ownCallsSchema = z.object({
  answers: z.array(z.object({ serverCalls: z.array(z.object({ id: z.string() })).default([]) })).default([]),
});
type SeenTurn = z.infer<typeof seenTurnSchema>;
export type SeenTurnDetail = z.infer<typeof turnDetailSchema>;
/** Of a server that knows of no tools that are left. */
const composedSchema = composedViewSchema.extend({ toolsLeft: z.array(z.string()).default([]) });
export type SeenMessage = z.infer<typeof seenMessageSchema>;

const seenPersonalitySchema = z.object({ name: z.string(), description: z.string(), isDefault: z.boolean() });
type SeenPersonality = z.infer<typeof seenPersonalitySchema>;

/** What came of a tool that was called, as the thread is to have it. */
export interface ToolResult {
  tool_call_id: string;
  content: string;
}

/** All that a turn waits for, or a part of it. */
interface ResultsCall {
  place: Place;
  results: readonly ToolResult[];
  signal?: AbortSignal;
}

export type TurnAnswer = z.infer<typeof turnAnswerSchema>;

/** What is said of a thread. */
export interface ThreadWords {
  title?: string;
  pinned?: boolean;
  /** It is deleted then; null: it is kept. */
  expiresAt?: string | null;
}

export interface TurnCalls {
  /** The answer as it comes; a connection that breaks is taken up where it broke off. */
  stream(call: TurnCall, following: Following): AsyncIterable<InferEvent>;
  /** The rest of an answer that is under way, from its first word. */
  follow(taskId: string, following: Following & { signal?: AbortSignal }): AsyncIterable<InferEvent>;
  once(call: TurnCall): Promise<TurnAnswer>;
  /** The calls of tools that a turn waits for; none where it has ended. An answer that is being written down is waited for. */
  calls(place: Place, signal: AbortSignal): Promise<SeenCall[]>;
  /** Results for all of them: the next round, as it comes. */
  results(call: ResultsCall, following: Following): AsyncIterable<InferEvent>;
  resultsOnce(call: ResultsCall): Promise<TurnAnswer>;
  /** Some of them: the turn goes on waiting. */
  someResults(call: ResultsCall): Promise<void>;
  /** @returns where it stands, accepted and not waited for; of a call that was made before, the same. */
  async(call: TurnCall): Promise<SeenTurn>;
  cancel(place: Place): Promise<void>;
  /** A turn in full. */
  detail(place: Place): Promise<SeenTurnDetail>;
  /** The last turn once more. @param pin the one member that may answer. */
  retry(
    call: Pick<TurnCall, 'key' | 'signal'> & { place: Place; pin?: string | undefined },
    following: Following,
  ): AsyncIterable<InferEvent>;
  /** The last turn's answer from where it was cut short. */
  goOn(
    call: Pick<TurnCall, 'key' | 'signal'> & { place: Place },
    following: Following,
  ): AsyncIterable<InferEvent>;
  /** Later turns are told of it no more. */
  drop(place: Place): Promise<void>;
  /** @returns the id of the copy. */
  fork(threadId: string): Promise<string>;
  change(threadId: string, change: ThreadWords): Promise<void>;
  /** A thread with nothing said in it yet, or with what was said elsewhere. @returns its id. */
  begin(agent: string, thread: ThreadWords & { messages?: readonly unknown[] }): Promise<string>;
  delete(threadId: string): Promise<void>;
  /** What was said, as chat completions write it. */
  export(threadId: string): Promise<{ title: string; messages: unknown[] }>;
  /** What would be sent for a turn, and of what it is made. */
  compose(
    agent: string,
    body: Readonly<Record<string, unknown>>,
  ): Promise<z.infer<typeof composedViewSchema>>;
  personalities(agent: string): Promise<SeenPersonality[]>;
  /** Newest first. */
  threads(agent: string, most: number): Promise<SeenThread[]>;
  thread(id: string): Promise<SeenThread>;
  /** The last ones, in order. */
  messages(id: string, last: number): Promise<SeenMessage[]>;
}

const turnPath = ({ threadId, turn }: Place): string =>
  `/api/v1/threads/${encodeURIComponent(threadId)}/turns/${turn}`;

function callOf({ agent, threadId, body, pin, key, signal }: TurnCall, more: object, headers = {}): Call {
  return {
    method: 'POST',
    path: `/api/v1/agents/${encodeURIComponent(agent)}/chat`,
    body: { ...body, ...(threadId !== null && { threadId }), ...more },
    headers: {
      accept,
      'idempotency-key': key,
      ...(pin !== undefined && { 'x-mcpctl-pin': pin }),
      ...headers,
    },
    ...(signal ? { signal } : {}),
  };
}

const listSchema = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item) });

/** What a server of another release answers is told as such. */
const read = <T>(schema: z.ZodType<T>, answer: unknown): T =>
  readAnswer(schema, answer, 'The server sent an answer that was not understood.');

const WRITTEN_WITHIN_MS = 5_000;
const LOOK_MS = 100;
/** Messages of one turn that are looked through for its calls. */
const LOOKED = 200;

/** Tools that a turn calls, and what came of them. */
function toolCalls(http: Http): Pick<TurnCalls, 'calls' | 'results' | 'resultsOnce' | 'someResults'> {
  const post = ({ place, results, signal }: ResultsCall, stream: boolean): Call => ({
    method: 'POST',
    path: `${turnPath(place)}/tool-results`,
    query: { stream: String(stream) },
    body: results,
    headers: { accept },
    ...(signal ? { signal } : {}),
  });
  return {
    async calls(place, signal) {
      for (let waitedMs = 0; ; waitedMs += LOOK_MS) {
        const { status } = read(seenTurnSchema, await http.json({ method: 'GET', path: turnPath(place) }));
        if (status === 'waiting') break;
        if (status !== 'running' || waitedMs >= WRITTEN_WITHIN_MS) return [];
        await pause(LOOK_MS, signal);
      }
      const path = `/api/v1/threads/${encodeURIComponent(place.threadId)}/messages`;
      const messages = read(
        listSchema(seenMessageSchema),
        await http.json({ method: 'GET', path, query: { last: LOOKED } }),
      ).items.filter(({ turn }) => turn === place.turn);
      // What the server runs it brings itself.
      const own = read(ownCallsSchema, await http.json({ method: 'GET', path: turnPath(place) }));
      const ids = own.answers.flatMap(({ serverCalls }) => serverCalls.map(({ id }) => id));
      const done = new Set([...ids, ...messages.map(({ toolCallId }) => toolCallId)]);
      const asked = messages.findLast(({ role }) => role === 'assistant')?.toolCalls ?? [];
      return asked.filter(({ id }) => !done.has(id));
    },
    results: (call, following) => asItComes(http, post(call, true), following),
    resultsOnce: async (call) =>
      read(turnAnswerSchema, await http.json({ ...post(call, false), limitMs: ONCE_MS })),
    someResults: async (call) => void (await http.json(post(call, false))),
  };
}

/** What becomes of threads besides what is said in them. */
function keepingCalls(
  http: Http,
): Pick<TurnCalls, 'drop' | 'fork' | 'change' | 'begin' | 'delete' | 'export'> {
  const at = encodeURIComponent;
  return {
    drop: async (place) =>
      void (await http.json({ method: 'DELETE', path: turnPath(place), query: { drop: 'true' } })),
    fork: async (threadId) =>
      read(
        seenThreadSchema,
        await http.json({ method: 'POST', path: `/api/v1/threads/${at(threadId)}/fork`, body: {} }),
      ).id,
    change: async (threadId, body) =>
      void (await http.json({ method: 'PATCH', path: `/api/v1/threads/${at(threadId)}`, body })),
    begin: async (agent, body) =>
      read(
        seenThreadSchema,
        await http.json({ method: 'POST', path: `/api/v1/agents/${at(agent)}/threads`, body }),
      ).id,
    delete: async (threadId) =>
      void (await http.json({ method: 'DELETE', path: `/api/v1/threads/${at(threadId)}` })),
    export: async (threadId) =>
      read(
        z.object({ title: z.string(), messages: z.array(z.unknown()) }),
        await http.json({ method: 'GET', path: `/api/v1/threads/${at(threadId)}/export` }),
      ),
  };
}

/** What is asked of the last turn of a thread, and answered as a turn is. */
function oncemore(
  http: Http,
  {
    place,
    how,
    more,
    key,
    signal,
  }: Pick<TurnCall, 'key' | 'signal'> & { place: Place; how: 'retry' | 'continue'; more: object },
  following: Following,
): AsyncGenerator<InferEvent> {
  const call: Call = {
    method: 'POST',
    path: `${turnPath(place)}/${how}`,
    body: { stream: true, ...more },
    headers: { accept, 'idempotency-key': key },
    ...(signal ? { signal } : {}),
  };
  return asItComes(http, call, following);
}

export function turnCalls(http: Http): TurnCalls {
  const get = (path: string, query: Record<string, number> = {}): Promise<unknown> =>
    http.json({ method: 'GET', path: `/api/v1${path}`, query });
  const at = encodeURIComponent;
  return {
    ...keepingCalls(http),
    ...toolCalls(http),
    stream: (call, following) => asItComes(http, callOf(call, { stream: true }), following),
    follow: (taskId, following) =>
      followed(http, { first: null, taskId, signal: following.signal }, following),
    once: async (call) =>
      read(turnAnswerSchema, await http.json({ ...callOf(call, { stream: false }), limitMs: ONCE_MS })),
    async: async (call) => {
      const later = callOf(call, { stream: call.body['stream'] ?? false }, { prefer: 'respond-async' });
      return read(seenTurnSchema, await http.json(later));
    },
    detail: async (place) =>
      read(turnDetailSchema, await http.json({ method: 'GET', path: turnPath(place) })),
    cancel: async (place) => void (await http.json({ method: 'DELETE', path: turnPath(place) })),
    compose: async (agent, body) =>
      read(
        composedSchema,
        await http.json({ method: 'POST', path: `/api/v1/agents/${at(agent)}/compose`, body }),
      ),
    personalities: async (agent) =>
      read(listSchema(seenPersonalitySchema), await get(`/agents/${at(agent)}/personalities`)).items,
    retry: ({ pin, ...call }, following) =>
      oncemore(http, { ...call, how: 'retry', more: pin === undefined ? {} : { pin } }, following),
    goOn: (call, following) => oncemore(http, { ...call, how: 'continue', more: {} }, following),
    threads: async (agent, most) =>
      read(listSchema(seenThreadSchema), await get(`/agents/${at(agent)}/threads`, { limit: most })).items,
    thread: async (id) => read(seenThreadSchema, await get(`/threads/${at(id)}`)),
    messages: async (id, last) =>
      read(listSchema(seenMessageSchema), await get(`/threads/${at(id)}/messages`, { last })).items,
  };
}
