import { z } from 'zod';
import { textBlockSchema, textSchema, uuidSchema } from '../names.ts';
import { listQuerySchema } from '../page.ts';
import { usageSchema } from '../task/task.ts';
import { toolCallSchema } from './assemble.ts';
import { madeSchema } from './made.ts';

export const turnStatuses = ['queued', 'running', 'waiting', 'completed', 'error', 'cancelled'] as const;
const turnStatusSchema = z.enum(turnStatuses);

/** What becomes of a turn that comes while another is open. */
const onBusySchema = z.enum(['queue', 'reject', 'interrupt']);
export type OnBusy = z.infer<typeof onBusySchema>;

/** Rounds of one turn: each answer that calls tools leads to one more. */
export const MOST_ROUNDS = 16;

/** Body of `POST /api/v1/agents/<name>/chat`, and of `POST /api/v1/threads/<id>/turns` without `threadId`. */
export const turnRequestSchema = z.strictObject({
  /** Of the user; or `messages`, of the user and of tools, with the contents that chat completions know. */
  message: z.string().min(1).optional(),
  messages: z
    .array(z.looseObject({ role: z.enum(['user', 'tool']) }))
    .min(1)
    .max(64)
    .optional(),
  /** Go on there; missing: a new thread. */
  threadId: uuidSchema.optional(),
  /** Parameters of the chat, over the defaults of the agent. */
  params: z.looseObject({}).optional(),
  /** Of the agent, for this turn; an empty text: none, in spite of its default. */
  personality: z.string().max(128).optional(),
  /** A text behind the agent's, for this turn alone. */
  systemAppend: z.string().min(1).optional(),
  /** A text in place of the agent's system prompt, for this turn alone; an empty one: none. Its prompts stay. */
  system: textBlockSchema(100_000, 0).optional(),
  tools: z.array(z.looseObject({})).optional(),
  /** `disabled`: where not all of the thread has room, the turn is refused, and nothing is left out. */
  truncation: z.enum(['auto', 'disabled']).optional(),
  onBusy: onBusySchema.optional(),
  /** Of a turn that waits for results of tools: `abandon` ends it, as if they were not to be had. */
  onPending: z.enum(['refuse', 'abandon']).optional(),
  stream: z.boolean().optional(),
});

const importedSchema = z.strictObject({
  role: z.enum(['user', 'assistant', 'tool']),
  content: z.union([z.string(), z.array(z.looseObject({}))]).nullish(),
  tool_calls: z
    .array(
      z.object({
        id: z.string().min(1).max(256),
        type: z.literal('function').optional(),
        function: z.object({ name: z.string().max(256), arguments: z.string() }),
      }),
    )
    .max(256)
    .optional(),
  tool_call_id: z.string().max(256).optional(),
});
/** Body of `POST /api/v1/agents/<name>/threads`. */
export const threadCreateSchema = z.strictObject({
  title: textSchema(200).optional(),
  /** What was said elsewhere, as chat completions write it: the thread begins with it. */
  messages: z.array(importedSchema).max(10_000).optional(),
  /** It is deleted then. */
  expiresAt: z.iso.datetime({ offset: true }).optional(),
});

/** Body of `PATCH /api/v1/threads/<id>`. */
export const threadChangeSchema = z.strictObject({
  title: textSchema(200).optional(),
  pinned: z.boolean().optional(),
  /** It is deleted then; null: it is kept. */
  expiresAt: z.iso.datetime({ offset: true }).nullable().optional(),
});

/** Body of `POST /api/v1/threads/<id>/turns/<n>/retry`, and of `…/continue`; it may be empty. */
export const turnRetrySchema = z.strictObject({
  /** The one member that may answer. */
  pin: z.string().min(1).max(128).optional(),
  stream: z.boolean().optional(),
});

/** Body of `POST /api/v1/threads/<id>/turns/<n>/tool-results`; without any, what is missing is said. */
export const toolResultsSchema = z
  .array(
    z.strictObject({
      tool_call_id: z.string().min(1).max(256),
      /** As chat completions know the content of a tool's message. */
      content: z.union([z.string(), z.array(z.looseObject({}))]),
    }),
  )
  .max(256);

/** Query of the same: `stream=true` streams the next round, once its last result is there. */
export const toolResultsQuerySchema = z.strictObject({ stream: z.enum(['true', 'false']).default('false') });

/** Body of `POST /api/v1/threads/<id>/fork`; without a turn, all of it. */
export const threadForkSchema = z.strictObject({
  atTurn: z.int().min(0).max(2_000_000_000).optional(),
  title: textSchema(200).optional(),
});

export const threadExportQuerySchema = z.strictObject({
  format: z.enum(['openai', 'jsonl', 'markdown']).default('openai'),
  reasoning: z.enum(['true', 'false']).default('false'),
});

/** Query of `DELETE /api/v1/threads/<id>/turns/<n>`: `drop=true` leaves it out of what later turns are told, too. */
export const turnDeleteQuerySchema = z.strictObject({ drop: z.enum(['true', 'false']).default('false') });

const openTurnSchema = z.object({
  n: z.number(),
  status: turnStatusSchema,
  taskId: z.string().nullable(),
});

export const threadViewSchema = z.object({
  id: uuidSchema,
  agent: z.string(),
  title: z.string(),
  owner: z.string(),
  ownerId: z.string(),
  /** Moves on with each turn that is taken, and with what its owner says of it. */
  revision: z.number(),
  turns: z.number(),
  messages: z.number(),
  /** Of what was said in it; not in lists. */
  bytes: z.number().optional(),
  /** The turn that runs, or the first that waits. */
  openTurn: openTurnSchema.nullable(),
  forkedFrom: z.string().nullable(),
  /** The last turn that it was copied with. */
  forkedAt: z.number().nullable(),
  pinned: z.boolean(),
  expiresAt: z.string().nullable(),
  lastTurnAt: z.string(),
  createdAt: z.string(),
});
export type ThreadView = z.infer<typeof threadViewSchema>;

export const threadListQuerySchema = listQuerySchema.extend({ agent: z.string().min(1).max(128).optional() });

/** A call of a tool that the server has run, or answered itself. */
export const serverCallSchema = z.object({
  id: z.string(),
  /** As the model called it. */
  name: z.string(),
  /** Null: no server was asked. */
  server: z.string().nullable(),
  taskId: z.string().nullable(),
  status: z.enum(['running', 'ended']),
  /** Of docs/errors.md: why its server gave no result, or one that is an error (`tool_failed`); null: it gave one, or has not yet. */
  code: z.string().nullable(),
  /** From its beginning to its result. */
  ms: z.number().nullable(),
});
export type ServerCallView = z.infer<typeof serverCallSchema>;

const messageStatusSchema = z.enum(['pending', 'complete', 'error', 'cancelled']);

export const messageViewSchema = z.object({
  id: uuidSchema,
  /** The turn that it belongs to, and its place among all messages. */
  turn: z.number(),
  turnIndex: z.number(),
  role: z.enum(['user', 'assistant', 'tool']),
  /** Of an answer: how far it came. `cancelled` and `error` keep what was shown. */
  status: messageStatusSchema,
  content: z.string(),
  /** The content as it was sent, where it was a list. */
  parts: z.array(z.unknown()).optional(),
  toolCalls: z.array(toolCallSchema).optional(),
  toolCallId: z.string().optional(),
  /** Of a result that the server has brought. */
  serverCall: serverCallSchema.optional(),
  reasoning: z.string().optional(),
  /** False: more was shown than is kept here. */
  isWhole: z.boolean(),
  /** Whether later turns are told of it. */
  inContext: z.boolean(),
  servedBy: z.string().nullable(),
  usage: usageSchema.nullable(),
  finishReason: z.string().nullable(),
  /** Its backend has read much less than was sent, and said nothing of it. */
  backendTruncated: z.boolean().optional(),
  createdAt: z.string(),
});
export type MessageView = z.infer<typeof messageViewSchema>;

/** Query of `GET /api/v1/threads/<id>/messages`: those after that index, or the last ones. */
export const messageListQuerySchema = z.strictObject({
  after: z.coerce.number().int().min(-1).optional(),
  last: z.coerce.number().int().min(1).max(200).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(100),
});

export const turnViewSchema = z.object({
  threadId: uuidSchema,
  turn: z.number(),
  status: turnStatusSchema,
  taskId: z.string().nullable(),
  inContext: z.boolean(),
  /** The id of the turn that it was tried again for. */
  supersedes: z.string().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  createdAt: z.string(),
  endedAt: z.string().nullable(),
});

/** What a turn was, in full: each of its answers, of what its request was made, and who had it. */
export const turnDetailSchema = turnViewSchema.extend({
  /** The turns that this one tries again, and that tries this one again, by their numbers. */
  triesAgain: z.number().nullable(),
  triedAgainBy: z.number().nullable(),
  answers: z.array(
    z.object({
      /** Its task is kept for a while; of a thread that was copied or made elsewhere there is none. */
      taskId: z.string().nullable(),
      turnIndex: z.number(),
      status: messageStatusSchema,
      servedBy: z.string().nullable(),
      usage: usageSchema.nullable(),
      finishReason: z.string().nullable(),
      backendTruncated: z.boolean().optional(),
      /** Every claim that a member had on it, as long as its task is kept. */
      attempts: z.array(z.object({ llm: z.string(), reason: z.string() })),
      /** What it has called that the server runs, in order. */
      serverCalls: z.array(serverCallSchema).default([]),
      /** Null: it was made elsewhere, or by a release that did not keep it. */
      made: madeSchema.nullable(),
    }),
  ),
});
export type TurnDetail = z.infer<typeof turnDetailSchema>;

/** A turn, and the calls of tools that it waits for. */
export const turnWaitsSchema = turnViewSchema.extend({ missing: z.array(z.string()) });
export type TurnView = z.infer<typeof turnViewSchema>;

/** The answer to a turn that is not streamed. */
export const turnAnswerSchema = z.object({
  threadId: uuidSchema,
  turn: z.number(),
  taskId: z.string(),
  assistant: z.string(),
  toolCalls: z.array(toolCallSchema).optional(),
  /** What its agent has called, in all rounds, and the server has run. */
  serverCalls: z.array(serverCallSchema).optional(),
  reasoning: z.string().optional(),
  turnIndex: z.number(),
  /** How many older turns the members had no room for, and how many tokens they take; missing: none. */
  leftOut: z.number().optional(),
  contextLength: z.number().optional(),
  /** The backend has read much less than was sent, and said nothing of it. */
  backendTruncated: z.boolean().optional(),
  finishReason: z.string().nullable(),
  usage: usageSchema.nullable(),
});
