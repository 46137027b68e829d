import type { EventMap } from './events.ts';
import type { TaskRow } from './task.ts';

/** Who had a task last and what its backend counted, as events tell it. */
export function servedBy(row: TaskRow): Pick<
  EventMap['task.settled'],
  'member' | 'worker' | 'tokensIn' | 'tokensOut'
> & {
  queueMs: number | null;
} {
  return {
    member: row.claimedLlm,
    worker: row.claimedBy,
    tokensIn: row.usage?.promptTokens ?? null,
    tokensOut: row.usage?.completionTokens ?? null,
    queueMs: row.claimedAt && Math.max(0, row.claimedAt.getTime() - row.createdAt.getTime()),
  };
}

/** A row that has just been written to its end, as `task.settled` tells it. */
export function settledEvent(row: TaskRow, by: 'edge' | 'scheduler'): EventMap['task.settled'] {
  return {
    taskId: row.id,
    status: row.status,
    code: row.errorCode,
    by,
    source: row.source,
    keyId: row.tokenId,
    llm: row.llmName,
    pool: row.poolName,
    durMs: Math.max(0, (row.completedAt ?? row.createdAt).getTime() - row.createdAt.getTime()),
    ...servedBy(row),
  };
}
