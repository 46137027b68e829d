import type { MessageView, ThreadView, TurnView } from '../../core/agent/thread.ts';
import type { MessageRow, ThreadRow, TurnRow } from '../../core/registry/threads/rows.ts';

export function threadView({
  openN,
  openStatus,
  openTaskId,
  lastAt: _at,
  agentId: _agent,
  poolKey: _pool,
  ...row
}: ThreadRow): ThreadView {
  const isOpen = openN !== null && openStatus !== null;
  return {
    ...row,
    openTurn: isOpen ? { n: openN, status: openStatus, taskId: openTaskId } : null,
    expiresAt: row.expiresAt?.toISOString() ?? null,
    lastTurnAt: row.lastTurnAt.toISOString(),
    createdAt: row.createdAt.toISOString(),
  };
}

export function messageView({
  turnId: _turn,
  n,
  parts,
  toolCalls,
  toolCallId,
  reasoning,
  reasoningField: _field,
  ...row
}: MessageRow): MessageView {
  return {
    ...row,
    turn: n,
    ...(parts !== null && { parts: JSON.parse(parts) as unknown[] }),
    ...(toolCalls && { toolCalls }),
    ...(toolCallId !== null && { toolCallId }),
    ...(reasoning !== null && { reasoning }),
    createdAt: row.createdAt.toISOString(),
  };
}

export const turnView = (turn: TurnRow): TurnView => ({
  threadId: turn.threadId,
  turn: turn.n,
  status: turn.status,
  taskId: turn.taskId,
  inContext: turn.inContext,
  supersedes: turn.supersedes,
  error: turn.errorCode === null ? null : { code: turn.errorCode, message: turn.errorMessage ?? '' },
  createdAt: turn.createdAt.toISOString(),
  endedAt: turn.endedAt?.toISOString() ?? null,
});
