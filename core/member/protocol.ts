import { z } from 'zod';
import { printedPlaceSchema, serverOrders } from '../mcp/process/orders.ts';
import { holdSchema, llmTypeSchema, offeredCapabilitiesSchema, taskOperationSchema } from '../llm.ts';
import { MOST_PERSONA_BYTES } from '../agent/compose.ts';
import { paramsSchema } from '../agent/default-params.ts';
import { extrasSchema } from '../agent/extras.ts';
import { modelSchema, nameSchema, shownInLine, textBlockSchema, textSchema, uuidSchema } from '../names.ts';
import { wordOr } from '../newer-words.ts';
import { memberStates } from './member-state.ts';
import { storableSentence } from '../text/storable.ts';
import { toldReasonSchema } from '../task/error-reason.ts';
import { retryAfterSchema } from '../retry-after.ts';
import { usageAsTold } from '../task/outcome.ts';
import { usageSchema } from '../task/task.ts';

/**
 * The wire between worker and edge, protocol 1 (docs/spec.md §3). Bodies ignore unknown fields, because older and
 * newer workers meet: every object here is a plain `z.object`, which strips them.
 */
export const PROTOCOL = 1;

/**
 * A session's id as a worker knows it: opaque, whatever an edge made of it, as long as it fits in a header and in a
 * line of a file. Those of this edge are uuids.
 */
export const sessionIdSchema = z.string().regex(/^[\x21-\x7e]{1,256}$/);

/** More at once than any one backend answers: what somebody declares beyond it would only take tasks from others. */
const MOST_SLOTS = 1_024;

/** Somebody's backend wrote some of it: it is made fit to be kept and shown rather than refused. */
/** Of a worker, for people: as one line of so many characters. */
export const toldSentenceSchema = z.string().transform((text) => storableSentence(shownInLine(text), 500));

/** The longest rest there is, that of a member which says nothing of its tasks (edge/relay/rests.ts). */
export const LONGEST_REST_MS = 30 * 60_000;
/** How much longer a member rests, as its worker says. */
export const restsMsSchema = z
  .number()
  .transform((ms) => Math.min(Math.max(0, Math.ceil(ms)), LONGEST_REST_MS));

const providerOfferSchema = z.object({
  name: nameSchema,
  type: llmTypeSchema,
  model: modelSchema,
  tier: textSchema(64).nullish(),
  poolName: nameSchema.nullish(),
  maxConcurrency: z
    .int()
    .min(1)
    .max(10_000)
    .transform((slots) => Math.min(slots, MOST_SLOTS))
    .nullish(),
  capabilities: offeredCapabilitiesSchema.nullish(),
  /** `inactive`: the backend does not answer (`backend_down`), and the worker will say when it does. */
  initialStatus: wordOr(['active', 'hibernating', 'inactive'], 'inactive').default('active'),
  /** Why its backend refuses what is configured, as a sentence; it is served all the same. */
  misconfigured: toldSentenceSchema.nullish(),
  /** Why it takes nothing now, or sleeps, where that is the worker's doing, as a sentence. */
  statusReason: toldSentenceSchema.nullish(),
  /** Opaque: providers that say the same are of one backend, and share one count of slots. */
  slotGroup: textSchema(64).min(1).nullish(),
});
export type ProviderOffer = z.infer<typeof providerOfferSchema>;

const once = (items: readonly { name: string }[]): boolean =>
  new Set(items.map((item) => item.name)).size === items.length;

/** A prompt of an agent's own, kept as one of its prompts. */
export const promptOfferSchema = z.object({
  name: nameSchema,
  priority: z.int().min(0).max(1_000).default(500),
  content: textBlockSchema(100_000),
});

interface Texts {
  systemPrompt: string;
  prompts: readonly { content: string }[];
}

/** Its own texts alone are not more than is ever sent. */
export function refuseLongPersona({ systemPrompt, prompts }: Texts, context: z.RefinementCtx): void {
  const texts = [systemPrompt, ...prompts.map(({ content }) => content)];
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes <= MOST_PERSONA_BYTES) return;
  const message = `with these its texts are ${bytes} bytes, and at most ${MOST_PERSONA_BYTES} are sent`;
  context.addIssue({ code: 'custom', path: ['prompts'], message });
}

/** An agent that is published with the session: its llm is one of this registration, or one that its owner may run. */
export const agentOfferSchema = z
  .object({
    name: nameSchema,
    llm: nameSchema,
    description: textSchema(2_000).default(''),
    systemPrompt: textBlockSchema(100_000, 0).default(''),
    defaultParams: paramsSchema.default({}),
    extras: extrasSchema.default({}),
    pinMode: z.enum(['pool', 'only']).default('pool'),
    visibility: z.enum(['shared', 'private']).default('shared'),
    prompts: z.array(promptOfferSchema).max(64).refine(once, 'two prompts have the same name').default([]),
  })
  .superRefine(refuseLongPersona);
export type AgentOffer = z.infer<typeof agentOfferSchema>;
/** As whoever publishes writes it. */
export type PublishedAgent = z.input<typeof agentOfferSchema>;

/** So many llms one machine publishes at most. */
export const MOST_PUBLISHED = 256;

export const registerSchema = z.object({
  providerSessionId: uuidSchema.optional(),
  /** Random per process: tells a restarted worker from a copied session file. */
  instanceId: textSchema(64).min(1).optional(),
  protocol: z.int().min(1).default(PROTOCOL),
  workerVersion: textSchema(64).optional(),
  /** What its machine is called, for people; it names nothing. */
  host: textSchema(64).min(1).optional(),
  bullmqVersion: textSchema(64).optional(),
  /** What the worker can do, best first; an older worker that is silent knows sse only. */
  transports: z.array(z.string().max(32)).max(8).default(['sse']),
  /** It signs in to Redis as the user that the answer names; a worker that is older used what its environment holds. */
  redisUser: z.boolean().optional(),
  /** Each of its calls says its instance: one that does not is not its own. */
  saysInstance: z.boolean().optional(),
  providers: z
    .array(providerOfferSchema)
    .max(MOST_PUBLISHED)
    .refine(once, 'two providers have the same name'),
  agents: z.array(agentOfferSchema).max(256).refine(once, 'two agents have the same name').default([]),
});
export type RegisterBody = z.infer<typeof registerSchema>;

export const sessionBodySchema = z.object({
  providerSessionId: uuidSchema,
  /** As `x-mcpctl-instance`, for who would rather say it here. */
  instanceId: textSchema(64).min(1).optional(),
});

export const memberStateWord = wordOr(memberStates, 'down');
export const sessionStateWord = wordOr(['serving', 'draining'], 'draining');

/** Body of `_provider-heartbeat`: a sign of life, and what has changed. What is not said stays as it was. */
export const heartbeatSchema = sessionBodySchema.extend({
  state: sessionStateWord.optional(),
  /** By the llm's name. */
  members: z.record(nameSchema, memberStateWord).optional(),
  /** How much longer those of them rest whose backend has just failed, in milliseconds. */
  rests: z.record(nameSchema, restsMsSchema).optional(),
});
export type Heartbeat = z.infer<typeof heartbeatSchema>;

/** Headers of the calls that carry tasks. */
export const wireHeaders = {
  session: 'x-mcpctl-provider-session',
  /** The worker's `instanceId`: on every call that is about its session. */
  instance: 'x-mcpctl-instance',
  /** Claims that it still runs when it opens a stream: `<taskId>:<claimId>,…`. */
  running: 'x-mcpctl-running',
  claim: 'x-mcpctl-claim',
  /** Said when it opens a stream: it gets large requests by `_provider-task/:id/body`. */
  fetches: 'x-mcpctl-fetches',
} as const;
/** How many claims `x-mcpctl-running` may name. */
export const MOST_RUNNING = 256;

/** Ids of tasks and wakes are opaque to a worker; `''` is the claim of an edge that has no claims. */
const opaqueIdSchema = z.string().min(1).max(256);
const claimIdSchema = z.string().max(256).default('');
/** How long a claim may run where an older edge does not say. */
const USUAL_RUN_MS = 600_000;

/**
 * What a worker of the sse transport is told: the data of an `event: task`. An edge of the first protocol leaves out
 * the claim, the operation (chat was all there was), headers and limits, and gives the request as an object.
 */
const frameSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('infer'),
    taskId: opaqueIdSchema,
    claimId: claimIdSchema,
    llmName: z.string(),
    operation: taskOperationSchema.default('chat'),
    streaming: z.boolean().default(false),
    headers: z.record(z.string(), z.string()).default({}),
    /** The body, as the text that the caller sent. */
    request: z.union([z.string(), z.looseObject({}).transform((body) => JSON.stringify(body))]),
    /** It is to be fetched (`_provider-task/:id/body`), and has about so many bytes; only for who said that it does. */
    requestBytes: z.int().positive().optional(),
    /** Milliseconds that this claim may run. */
    runMs: z.number().positive().default(USUAL_RUN_MS),
  }),
  z
    .object({
      kind: z.literal('wake'),
      wakeId: opaqueIdSchema.optional(),
      taskId: opaqueIdSchema.optional(),
      llmName: z.string(),
    })
    // A wake was a task once.
    .transform(({ kind, wakeId, taskId, llmName }) => ({ kind, wakeId: wakeId ?? taskId ?? '', llmName })),
  z.object({ kind: z.literal('cancel'), taskId: opaqueIdSchema, claimId: claimIdSchema }),
  z.object({
    kind: z.literal('server'),
    orderId: z.uuid(),
    /** The member of the server's pool. */
    llmName: z.string(),
    order: z.enum(serverOrders),
    /** Of `logs`: behind which place. */
    after: printedPlaceSchema.optional(),
  }),
]);

/** Of a task that is not understood, e.g. with an operation of a newer release, what it takes to give it back. */
const unreadableSchema = z
  .object({ kind: z.literal('infer'), taskId: opaqueIdSchema, claimId: claimIdSchema, llmName: z.string() })
  .transform((frame) => ({ ...frame, kind: 'unreadable' as const }));

export type Frame = z.infer<typeof frameSchema> | z.infer<typeof unreadableSchema>;

/** Null for anything that is no frame known here: newer edges may say more than this worker knows. */
export function parseFrame(text: string): Frame | null {
  try {
    const parsed = z.union([frameSchema, unreadableSchema]).safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null; // not JSON, so not for us
  }
}

const cutTo = (max: number) => z.string().transform((text) => text.slice(0, max));
const httpStatus = (from: number, to: number) => z.int().min(from).max(to);
const seqSchema = z.int().min(1);

const endSchema = z.object({
  finishReason: cutTo(64).nullish(),
  usage: usageSchema.nullish(),
  /** The backend's status; 200 unless told. */
  status: httpStatus(200, 299).nullish(),
  /** The whole answer, as text, unless it was streamed. */
  body: z.string().nullish(),
});
export type StreamEnd = z.infer<typeof endSchema>;

export const failureSchema = z.object({
  code: cutTo(64),
  message: cutTo(4_000),
  /** A backend's own 4xx goes to the caller as it is, with its `body`. */
  status: httpStatus(400, 599).nullish(),
  body: z.string().nullish(),
  /** Another member may do better. */
  retryable: z.boolean().default(false),
  /** Seconds, when the backend asked to wait. */
  retryAfterS: retryAfterSchema.nullish(),
  reason: toldReasonSchema,
});
export type StreamFailure = z.infer<typeof failureSchema>;

/** One line of `_provider-task/:id/stream`. The last is an `end` or an `error`. */
export const streamLineSchema = z.union([
  z.object({ seq: seqSchema, data: z.string() }),
  z.object({ beat: z.literal(true) }),
  z.object({ end: endSchema }),
  z.object({ error: failureSchema }),
]);
export type StreamLine = z.infer<typeof streamLineSchema>;

const costlyLineSchema = z.looseObject({ end: z.looseObject({ usage: z.looseObject({}) }) });

/**
 * A line as a worker sends it; null for what is none. What is to be sent is said by the schema; numbers that cannot be cost
 * nobody the answer that they are about, as in an end over Redis (core/task/outcome.ts). A usage that is no object is none.
 */
export function parseStreamLine(value: unknown): StreamLine | null {
  const parsed = streamLineSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { data: costly } = costlyLineSchema.safeParse(value);
  if (!costly) return null;
  const end = { ...costly.end, usage: usageAsTold(costly.end.usage) };
  return streamLineSchema.safeParse({ end }).data ?? null;
}

/** What a line says, of which at most one is in a line: one with none of them is of a newer release, and passed over. */
const spokenKeys = ['seq', 'data', 'beat', 'end', 'error'];
export const isForeignLine = (value: unknown): boolean =>
  z.record(z.string(), z.unknown()).safeParse(value).success &&
  !spokenKeys.some((key) => Object.hasOwn(Object(value) as object, key));

const spoken = { claimId: z.string().max(64).optional(), seq: seqSchema.optional() };

/** Body of `_provider-task/:id/result`: a piece of an answer, a whole one, a failure, or how a wake went. */
export const resultSchema = z.union([
  /** An older worker says a sentence instead of what a stream's `error` line says. */
  z.object({
    ...spoken,
    error: z.union([cutTo(4_000), failureSchema.partial({ code: true, message: true })]),
  }),
  z.object({ ...spoken, chunk: z.object({ data: z.string(), done: z.boolean().default(false) }) }),
  z.object({ ...spoken, status: httpStatus(100, 599), body: z.unknown() }),
  z.object({ ok: z.literal(true), ms: z.number().nonnegative().optional() }),
]);
export type Result = z.infer<typeof resultSchema>;

/**
 * How the worker is to take its tasks. `username` and `password`: of the session's own Redis user, at `url` unless the
 * worker knows another way to that Redis; an older edge names none.
 */
export const transportSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('redis'),
    namespace: z.string(),
    url: z.string().optional(),
    username: z.string().optional(),
    password: z.string().optional(),
  }),
  z.object({ kind: z.literal('sse') }),
]);
export type Transport = z.infer<typeof transportSchema>;

/** Answer of `_provider-register`, 201. Loose: a newer edge may say more. */
export const registeredSchema = z.looseObject({
  providerSessionId: uuidSchema,
  llms: z.array(z.looseObject({ id: uuidSchema, name: z.string(), poolKey: z.string(), status: z.string() })),
  /** Each with its `name`, `llm`, `pool` and `status`; an older edge, which serves none, names none. */
  agents: z.array(z.unknown()),
  warnings: z.array(z.string()),
  transport: transportSchema,
  /** The server gives it nothing new; an older edge does not say. */
  hold: holdSchema.optional(),
  /** Pools that its llms have left and in which tasks still wait for them: served too; an older edge does not say. */
  drains: z.array(z.looseObject({ id: uuidSchema, name: z.string(), poolKey: z.string() })).optional(),
  /** The id of whose session it is: their tasks go before others'. An older edge does not say. */
  owner: uuidSchema.optional(),
});
export type Registered = z.infer<typeof registeredSchema>;
