import type { Knex } from 'knex';
import { z } from 'zod';
import { storableJsonText, storableText } from '../../text/storable.ts';
import type { Assembled } from '../../agent/assemble.ts';
import type { Connection } from '../database/connect.ts';
import { lockThread } from './locked-thread.ts';

/** An answer that was written down without its text: who ended its task knew of no threads. */
const unfilledSchema = z.object({
  id: z.string(),
  threadId: z.string(),
  ownerId: z.string(),
  turnId: z.string(),
  taskId: z.string(),
  poolName: z.string(),
  claimId: z.string().nullable(),
  /** Of one that was not streamed, its body. */
  responseBody: z.string().nullable(),
});
export type UnfilledAnswer = z.infer<typeof unfilledSchema>;

const isUnfilled = `m.status = 'complete' and not m.is_whole and m.content = '' and m.tool_calls is null and m.task_id is not null`;

async function unfilled(db: Knex, sinceMs: number, limit: number): Promise<UnfilledAnswer[]> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `select m.id, m.thread_id, t.owner_id, m.turn_id, m.task_id, k.pool_name, k.claim_id, k.response_body
     from chat_messages m join chat_threads t on t.id = m.thread_id join tasks k on k.id = m.task_id
     where ${isUnfilled} and m.created_at > now() - interval '1 day'
       and k.completed_at > now() - :sinceMs * interval '1 millisecond' order by m.created_at limit :limit`,
    { sinceMs, limit },
  );
  return rows.map((row) => unfilledSchema.parse(row));
}

/** Where it still is without a text. Later turns are told of it from now on. @returns how many it was. */
async function fill(
  trx: Knex.Transaction,
  { id, threadId, ownerId, turnId }: UnfilledAnswer,
  { content, reasoning, reasoningField, toolCalls, isWhole }: Assembled,
): Promise<number> {
  const { weighedTo } = await lockThread(trx, { threadId, ownerId });
  const bytes = Buffer.byteLength(content) + Buffer.byteLength(reasoning ?? '');
  const { rows } = await trx.raw<{ rows: { turnIndex: number }[] }>(
    `update chat_messages m set content = :content, reasoning = :reasoning, reasoning_field = :reasoningField,
       tool_calls = :toolCalls::jsonb, is_whole = :isWhole, bytes = :bytes
     where m.id = :id and ${isUnfilled} returning m.turn_index`,
    {
      ...{ id, reasoningField, isWhole, bytes, content: storableText(content) },
      reasoning: reasoning === null ? null : storableText(reasoning),
      toolCalls: toolCalls === null ? null : storableJsonText(toolCalls),
    },
  );
  const [filled] = rows;
  if (!filled) return 0;
  await trx('chatTurns').where({ id: turnId, status: 'completed' }).update({ inContext: true });
  await trx('chatThreads')
    .where({ id: threadId })
    .update({
      revision: trx.raw('revision + 1'),
      ...(filled.turnIndex < weighedTo && { weighedBytes: trx.raw('weighed_bytes + ?', [bytes]) }),
    });
  return 1;
}

export interface UnfilledAnswers {
  /** Of tasks that ended so lately, the oldest first. */
  unfilled(sinceMs: number, limit: number): Promise<UnfilledAnswer[]>;
  /** As `fill`. @throws McpctlError `thread_not_found` where that was deleted. */
  fill(answer: UnfilledAnswer, what: Assembled): Promise<number>;
}

/** What a rolling upgrade leaves: processes of the release before end tasks too. */
export const createUnfilled = ({ db, transaction }: Connection): UnfilledAnswers => ({
  unfilled: (sinceMs, limit) => unfilled(db, sinceMs, limit),
  fill: (answer, what) => transaction((trx) => fill(trx, answer, what)),
});
