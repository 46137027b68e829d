import { z } from 'zod';
import { operationSchema, taskOperationSchema } from '../llm.ts';
import { errorReasonSchema } from './error-reason.ts';
import { instantSchema, orNothing, wordOr } from '../newer-words.ts';
import { aliasSchema, nameSchema, uuidSchema } from '../names.ts';
import { instantSchema as instantInQuery, listQuerySchema } from '../page.ts';

export const taskStatuses = ['pending', 'claimed', 'running', 'completed', 'error', 'cancelled'] as const;
export const taskStatusSchema = z.enum(taskStatuses);
export type TaskStatus = z.infer<typeof taskStatusSchema>;

/**
 * The state machine, once. docs/task-states.md draws it and the trigger in Postgres enforces it; a test keeps
 * the three equal. `pending → completed` is legal: a task usually costs two row writes, insert and settle,
 * and what happened between is in Redis (docs/decisions).
 * @internal tests walk it
 */
export const transitions: Record<TaskStatus, readonly TaskStatus[]> = {
  pending: ['claimed', 'running', 'completed', 'error', 'cancelled'],
  claimed: ['pending', 'running', 'completed', 'error', 'cancelled'],
  running: ['pending', 'completed', 'error', 'cancelled'],
  completed: [],
  error: [],
  cancelled: [],
};

export const terminalStatuses = taskStatuses.filter((s) => transitions[s].length === 0);

export function isTerminal(status: TaskStatus): boolean {
  return transitions[status].length === 0;
}

export const taskSources = ['infer', 'v1', 'async', 'agent', 'batch', 'mcp'] as const;
const priorities = ['interactive', 'background'] as const;
const prioritySchema = z.enum(priorities);
export type Priority = z.infer<typeof prioritySchema>;

/** What happens to a task when its last caller leaves: `cancel`, `continue`, or `grace=<s>` (docs/spec.md §5). */
const onDisconnectKinds = ['cancel', 'continue', 'grace'] as const;

export const usageSchema = z.object({
  promptTokens: z.int().nonnegative(),
  completionTokens: z.int().nonnegative(),
  totalTokens: z.int().nonnegative(),
  /** What the worker said was not possible; these are ours. */
  estimated: z.boolean().optional(),
});
export type Usage = z.infer<typeof usageSchema>;

export const taskErrorSchema = z.object({
  code: z.string(),
  message: z.string(),
  /** What a backend said beside the sentence. */
  reason: errorReasonSchema.optional(),
});

/** Body of `POST /api/v1/tasks`. Strict, but for `request`, which goes to the backend as it is. */
export const taskCreateSchema = z.strictObject({
  llm: z.string().min(1).max(128),
  request: z.looseObject({}),
  operation: operationSchema.optional(),
  priority: prioritySchema.optional(),
});

/** Query of `GET /api/v1/tasks`. */
export const taskListQuerySchema = listQuerySchema.extend({
  status: taskStatusSchema.optional(),
  pool: nameSchema.optional(),
  llm: aliasSchema.optional(),
  /** An agent's id. */
  agent: uuidSchema.optional(),
  /** The name of who asked. */
  owner: z.string().min(1).max(63).optional(),
  /** The llm that a task ended with. */
  member: nameSchema.optional(),
  /** The session that a task ended with, for who may see sessions. */
  session: uuidSchema.optional(),
  /** By which door it came. */
  source: z.enum(taskSources).optional(),
  /** Of the error that it ended with. */
  code: z.string().min(1).max(64).optional(),
  /** Made at this instant or later. */
  since: instantInQuery.optional(),
  /** Made before this instant. */
  until: instantInQuery.optional(),
  /** How its id begins. */
  idPrefix: z
    .string()
    .regex(/^[0-9a-f-]{1,36}$/)
    .optional(),
});

/** Query of `GET /api/v1/tasks/counts`. */
export const taskCountsQuerySchema = taskListQuerySchema.omit({ limit: true, after: true, status: true });

/** So many of the newest tasks are counted. */
export const MOST_COUNTED = 10_000;

/** How many of the newest tasks there are of each kind. */
export const taskCountsSchema = z.object({
  /** All of them; where it is 10,000 there may be more. */
  total: z.int(),
  /** Not ended: they wait or run. */
  open: z.int(),
  completed: z.int(),
  error: z.int(),
  cancelled: z.int(),
});
export type TaskCountsView = z.infer<typeof taskCountsSchema>;

/** Query of `GET /api/v1/tasks/:id`: seconds to wait for the end. */
export const taskWaitQuerySchema = z.strictObject({ wait: z.coerce.number().min(0).max(60).default(0) });

/** Query of `GET /api/v1/tasks/:id/stream`: the `id` of the last event that was seen. */
export const taskStreamQuerySchema = z.strictObject({ after: z.string().optional() });

/** What row and view have in common. */
const taskShape = {
  id: uuidSchema,
  operation: taskOperationSchema,
  source: z.enum(taskSources),
  /** The pool key when the task was made; it never changes. */
  poolName: z.string(),
  llmName: z.string(),
  /** The llm id of the one member that may run it; null = any. */
  pin: z.string().nullable(),
  model: z.string().nullable(),
  tier: z.string().nullable(),
  status: taskStatusSchema,
  streaming: z.boolean(),
  priority: prioritySchema,
  attempts: z.number(),
  crashes: z.number(),
  claimedLlm: z.string().nullable(),
  onDisconnect: z.enum(onDisconnectKinds),
  graceSeconds: z.number().nullable(),
  usage: usageSchema.nullable(),
  finishReason: z.string().nullable(),
  ownerId: z.string(),
};

/** One claim of a member on a task. */
const attemptSchema = z.object({
  n: z.number(),
  llm: z.string(),
  session: z.string(),
  startedAt: z.string().nullable(),
  /** Null while it runs. */
  endedAt: z.string().nullable(),
  /** `running`; how it finished, or the code of the error that it came to. */
  reason: z.string(),
  /** What its backend said beside the sentence. */
  errorReason: errorReasonSchema.optional(),
});

/** A task as the API shows it, with what the fence in Redis knows laid over a live row. */
export const taskViewSchema = z.object({
  ...taskShape,
  error: taskErrorSchema.nullable(),
  claimedAt: z.string().nullable(),
  streamStartedAt: z.string().nullable(),
  completedAt: z.string().nullable(),
  queueDeadline: z.string(),
  runDeadline: z.string().nullable(),
  createdAt: z.string(),
  /** The name of who asked; null for who may not look users up. */
  owner: z.string().nullable(),
  /** Of the token that it was asked with; null where it is gone, or is not told. */
  tokenName: z.string().nullable(),
  /** How long it waited for the member that has it, or had it last; null where none has. */
  queueMs: z.number().nullable(),
  /** From when it was made to its first event; null where it does not stream. */
  ttftMs: z.number().nullable(),
  /** Only on `GET /api/v1/tasks/:id`: the bodies, and each attempt: every claim that a member had on it. */
  request: z.unknown().optional(),
  response: z.unknown().optional(),
  attemptLog: z.array(attemptSchema).optional(),
});
export type TaskView = z.infer<typeof taskViewSchema>;

/** The row as Postgres holds it (`core/registry/tasks*.ts` read and write it), without the bodies. */
export const taskRowSchema = z.object({
  ...taskShape,
  // Written by a process of a newer release, perhaps, or by somebody's hand: no row shall hide the others of its page.
  id: z.string(),
  operation: wordOr(taskOperationSchema.options, 'chat'),
  source: wordOr(taskSources, 'async'),
  status: wordOr(taskStatuses, 'running'),
  priority: wordOr(priorities, 'background'),
  onDisconnect: wordOr(onDisconnectKinds, 'continue'),
  usage: orNothing(usageSchema),
  /** `none`: both bodies are dropped once the answer was delivered. */
  retention: wordOr(['keep', 'none'], 'none'),
  responseStatus: z.number().nullable(),
  errorCode: z.string().nullable(),
  errorMessage: z.string().nullable(),
  errorReason: orNothing(errorReasonSchema),
  epoch: z.number(),
  claimId: z.string().nullable(),
  claimedBy: z.string().nullable(),
  claimedAt: instantSchema.nullable(),
  streamStartedAt: instantSchema.nullable(),
  completedAt: instantSchema.nullable(),
  queueDeadline: instantSchema,
  runDeadline: instantSchema.nullable(),
  createdAt: instantSchema,
  /** The token that it was made with. */
  tokenId: z.string().nullable(),
  /** The turn of a thread that it answers. */
  turnId: z.string().nullable(),
  threadId: z.string().nullable(),
});
export type TaskRow = z.infer<typeof taskRowSchema>;
