import { z } from 'zod';
import { toolCallSchema } from '../../agent/assemble.ts';
import { turnStatuses } from '../../agent/thread.ts';
import { instantSchema, orNothing, wordOr } from '../../newer-words.ts';
import { usageSchema } from '../../task/task.ts';

const statusSchema = wordOr(turnStatuses, 'running');

export const threadRowSchema = z.object({
  id: z.string(),
  agentId: z.string(),
  agentOwnerId: z.string(),
  agent: z.string(),
  /** Of the agent now. */
  poolKey: z.string(),
  ownerId: z.string(),
  owner: z.string(),
  title: z.string(),
  revision: z.number(),
  turns: z.number(),
  messages: z.number(),
  /** Only where one is asked for. */
  bytes: z.number().optional(),
  openN: z.number().nullable(),
  openStatus: statusSchema.nullable(),
  openTaskId: z.string().nullable(),
  forkedFrom: z.string().nullable(),
  forkedAt: z.number().nullable(),
  pinned: z.boolean(),
  expiresAt: instantSchema.nullable(),
  /** As it is compared, to the microsecond. */
  lastAt: z.string(),
  lastTurnAt: instantSchema,
  createdAt: instantSchema,
});
export type ThreadRow = z.infer<typeof threadRowSchema>;

/** What was said in a thread, in bytes: as it was weighed last, and what was said since. */
const weight = (thread: string): string => `
  (${thread}.weighed_bytes + (select coalesce(sum(bytes), 0) from chat_messages
    where thread_id = ${thread}.id and turn_index >= ${thread}.weighed_to))::float8`;

/** Turns of a thread that have not ended. Each half has an index of its own; of those that have ended there are thousands. */
export const unended = (threadId: string, columns: string): string => `
  select ${columns} from chat_turns where thread_id = ${threadId} and status in ('running', 'waiting')
  union all select ${columns} from chat_turns where thread_id = ${threadId} and status = 'queued'`;

/** `one`: with what it weighs. */
export const threadSql = ({ one }: { one: boolean }): string => `
  select t.id, t.agent_id, a.owner_id as agent_owner_id, a.name as agent, l.pool_key, t.owner_id, u.name as owner, t.title, t.revision, t.next_turn - 1 as turns,
    t.next_message as messages, t.forked_from, t.forked_at, t.pinned, t.expires_at, t.last_turn_at, t.last_turn_at::text as last_at, t.created_at,
    ${one ? `${weight('t')} as bytes,` : ''}
    o.n as open_n, o.status as open_status, o.task_id as open_task_id
  from chat_threads t join agents a on a.id = t.agent_id join llms l on l.id = a.llm_id join users u on u.id = t.owner_id
  left join lateral (select * from (${unended('t.id', 'n, status, task_id')}) u order by status = 'queued', n limit 1) o on true`;

export const turnRowSchema = z.object({
  id: z.string(),
  threadId: z.string(),
  n: z.number(),
  status: statusSchema,
  inContext: z.boolean(),
  taskId: z.string().nullable(),
  supersedes: z.string().nullable(),
  poolName: z.string().nullable(),
  requestHash: z.string(),
  errorCode: z.string().nullable(),
  errorMessage: z.string().nullable(),
  /** How far it is with the tools of its agent's project; null: it was offered none. */
  serverCalls: orNothing(z.enum(['may', 'due', 'open', 'done'])),
  /** Its answer has called tools that its client runs. */
  asksClient: z.boolean(),
  createdAt: instantSchema,
  endedAt: instantSchema.nullable(),
});
export type TurnRow = z.infer<typeof turnRowSchema>;
export const turnColumns = Object.keys(turnRowSchema.shape);

/** A call that the server ran, or answered itself. */
export const callSchema = z.object({
  /** The task of the answer that made it. */
  roundId: z.string(),
  callId: z.string(),
  name: z.string(),
  server: z.string().nullable(),
  taskId: z.string().nullable(),
  /** Null: its server gave a result. */
  code: z.string().nullable(),
  /** From its beginning to its result; null: it runs. */
  ms: z.number().nullable(),
});
export type CallRow = z.infer<typeof callSchema>;

/** SQL: a row of `chat_calls c` as that. */
export const callJson = `json_build_object('roundId', c.round_id, 'callId', c.call_id, 'name', c.name, 'server', c.server, 'taskId', c.task_id,
      'code', c.code, 'ms', round(extract(epoch from c.ended_at - c.created_at) * 1000))`;

export const messageRowSchema = z.object({
  id: z.string(),
  turnId: z.string(),
  n: z.number(),
  turnIndex: z.number(),
  role: wordOr(['user', 'assistant', 'tool'], 'user'),
  status: wordOr(['pending', 'complete', 'error', 'cancelled'], 'error'),
  content: z.string(),
  parts: z.string().nullable(),
  toolCalls: orNothing(z.array(toolCallSchema)),
  toolCallId: z.string().nullable(),
  /** Of a result that the server has brought: its call. */
  serverCall: orNothing(callSchema),
  reasoning: z.string().nullable(),
  /** What it came in, and goes back as. */
  reasoningField: z.string().nullable(),
  isWhole: z.boolean(),
  inContext: z.boolean(),
  servedBy: z.string().nullable(),
  usage: orNothing(usageSchema),
  finishReason: z.string().nullable(),
  /** Tokens that what was asked should have come to. */
  expected: z.number().nullable(),
  createdAt: instantSchema,
});
export type MessageRow = z.infer<typeof messageRowSchema>;

export const messageSql = `
  select m.id, m.turn_id, t.n, m.turn_index, m.role, m.status, m.content, m.parts::text as parts, m.tool_calls, m.tool_call_id,
    case when c.call_id is not null then ${callJson} end as server_call,
    m.reasoning, m.reasoning_field, m.is_whole, t.in_context, m.served_by, m.usage, m.finish_reason, (m.made ->> 'expected')::float8 as expected, m.created_at
  from chat_messages m join chat_turns t on t.id = m.turn_id
    left join chat_calls c on m.role = 'tool' and c.turn_id = m.turn_id and c.round_id = m.task_id and c.call_id = m.tool_call_id`;
