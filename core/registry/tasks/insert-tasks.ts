import { z } from 'zod';
import type { TaskOperation } from '../../llm.ts';
import { instantSchema } from '../../newer-words.ts';
import { isLarge } from '../../runtime/time-of-bytes.ts';
import { storableJsonText } from '../../text/storable.ts';
import type { Priority, TaskRow } from '../../task/task.ts';
import type { TaskHead } from '../../task/head.ts';
import type { Composed } from '../../agent/compose.ts';
import { returning } from './task-rows.ts';
import type { Prepared, RunPrepared } from '../database/prepared.ts';

/** A task about to be accepted. Its deadlines are spans: the database's clock turns them into instants. */
export interface NewTask {
  id: string;
  operation: TaskOperation;
  source: TaskRow['source'];
  poolKey: string;
  llmName: string;
  pin: string | null;
  streaming: boolean;
  priority: Priority;
  requestBody: string;
  requestHash: string;
  head: TaskHead;
  queueMs: number;
  onDisconnect: TaskRow['onDisconnect'];
  graceSeconds: number | null;
  /** `none`: the bodies are dropped once the answer was delivered. */
  retention: TaskRow['retention'];
  ownerId: string;
  tokenId: string;
  /** The turn of a thread that it answers. */
  turn?: { id: string; threadId: string } | undefined;
  /** The agent that was asked, and what of the body is its own. */
  agent?: AskedOfAgent | undefined;
}

export interface AskedOfAgent {
  id: string;
  composed: Pick<Composed, 'system' | 'params'>;
}

const columnsOf = ({ poolKey, queueMs, head, agent, turn, ...task }: NewTask) => ({
  id: task.id,
  operation: task.operation,
  source: task.source,
  pool_name: poolKey,
  llm_name: task.llmName,
  pin: task.pin,
  streaming: task.streaming,
  priority: task.priority,
  request_body: task.requestBody,
  request_hash: task.requestHash,
  request_headers: agent ? { ...head, composed: agent.composed } : head,
  queue_ms: queueMs,
  on_disconnect: task.onDisconnect,
  grace_seconds: task.graceSeconds,
  retention: task.retention,
  owner_id: task.ownerId,
  token_id: task.tokenId,
  ...(agent && { agent_id: agent.id }),
  ...(turn && { turn_id: turn.id, thread_id: turn.threadId }),
});

/** What Postgres makes of a row. */
const madeSchema = z.object({ id: z.string(), queueDeadline: instantSchema, createdAt: instantSchema });

/** One text for any number of rows: each connection has Postgres parse and plan it once, by its name. */
const inserting: Prepared = {
  name: 'insert_tasks',
  sql: `
  insert into tasks (id, operation, source, pool_name, llm_name, pin, streaming, priority, request_body, request_hash,
    request_headers, queue_deadline, on_disconnect, grace_seconds, retention, owner_id, token_id, agent_id, turn_id,
    thread_id, request_bytes)
  select id, operation, source, pool_name, llm_name, pin, streaming, priority, coalesce(body, request_body), request_hash,
    request_headers, now() + queue_ms * interval '1 millisecond', on_disconnect, grace_seconds, retention, owner_id, token_id,
    agent_id, turn_id, thread_id, octet_length(coalesce(body, request_body))
  from (select $1::text as body) as large, json_to_recordset($2::json) as said (
    id uuid, operation text, source text, pool_name text, llm_name text, pin text, streaming boolean, priority text,
    request_body text, request_hash text, request_headers jsonb, queue_ms float8, on_disconnect text, grace_seconds int,
    retention text, owner_id uuid, token_id uuid, agent_id uuid, turn_id uuid, thread_id uuid)
  returning ${returning(Object.keys(madeSchema.shape))}`,
};

/** The row, as whoever asks for it is given it: of its columns Postgres has made two, and the rest was said or is as in every new row. */
const rowOf = (
  {
    requestBody: _body,
    requestHash: _hash,
    head: _head,
    queueMs: _ms,
    agent: _agent,
    turn,
    poolKey,
    ...task
  }: NewTask,
  { queueDeadline, createdAt }: z.infer<typeof madeSchema>,
): TaskRow => ({
  ...task,
  poolName: poolKey,
  turnId: turn?.id ?? null,
  threadId: turn?.threadId ?? null,
  queueDeadline,
  createdAt,
  ...asNew,
});

const asNew = {
  model: null,
  tier: null,
  status: 'pending',
  attempts: 0,
  crashes: 0,
  epoch: 1,
  claimId: null,
  claimedBy: null,
  claimedLlm: null,
  claimedAt: null,
  streamStartedAt: null,
  completedAt: null,
  runDeadline: null,
  usage: null,
  finishReason: null,
  responseStatus: null,
  errorCode: null,
  errorMessage: null,
  errorReason: null,
} as const;

/** One of the two ways into the table; the other is under a key (idempotency.ts). One that is large goes alone. */
export async function insertTasks(run: RunPrepared, tasks: readonly NewTask[]): Promise<TaskRow[]> {
  const [first] = tasks;
  // As JSON inside of JSON a large body takes thrice the time, here and in Postgres.
  const large = tasks.length === 1 && first && isLarge(first.requestBody.length) ? first.requestBody : null;
  const columns = tasks.map((task) =>
    large === null ? columnsOf(task) : columnsOf({ ...task, requestBody: '' }),
  );
  const made = new Map<string, z.infer<typeof madeSchema>>();
  for (const row of await run(inserting, [large, storableJsonText(columns)])) {
    const parsed = madeSchema.parse(row);
    made.set(parsed.id, parsed);
  }
  return tasks.flatMap((task) => {
    const its = made.get(task.id);
    return its === undefined ? [] : [rowOf(task, its)];
  });
}
