import type { Actor } from '../../core/access.ts';
import { wasCut } from '../../core/agent/budget.ts';
import { hidden } from '../../core/agent/made.ts';
import type {
  MessageView,
  ServerCallView,
  ThreadView,
  TurnDetail,
  TurnView,
} from '../../core/agent/thread.ts';
import type { TurnAnswerRow } from '../../core/registry/threads/asked-turns.ts';
import type { CallRow, MessageRow, ThreadRow, TurnRow } from '../../core/registry/threads/rows.ts';
import { readsBodies } from './task/task-of.ts';

/** Its title is the first that was said in it: it is for who may read that. */
export function threadView(thread: ThreadRow, actor: Actor): ThreadView {
  const {
    openN,
    openStatus,
    openTaskId,
    lastAt: _at,
    agentId: _agent,
    agentOwnerId: _owner,
    poolKey: _pool,
    ...row
  } = thread;
  const isOpen = openN !== null && openStatus !== null;
  return {
    ...row,
    title: readsBodies(actor, thread) ? row.title : '',
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
  serverCall,
  reasoning,
  reasoningField: _field,
  expected,
  ...row
}: MessageRow): MessageView {
  return {
    ...row,
    turn: n,
    ...(parts !== null && { parts: JSON.parse(parts) as unknown[] }),
    ...(toolCalls && { toolCalls }),
    ...(toolCallId !== null && { toolCallId }),
    ...(serverCall && { serverCall: callView(serverCall) }),
    ...(reasoning !== null && { reasoning }),
    ...(row.usage && wasCut(row.usage.promptTokens, expected) && { backendTruncated: true }),
    createdAt: row.createdAt.toISOString(),
  };
}

export const callView = ({ callId, name, server, taskId, code, ms }: CallRow): ServerCallView => ({
  ...{ id: callId, name, server, taskId, code, ms },
  status: ms === null ? 'running' : 'ended',
});

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

/** A turn with its answers. */
export function turnDetail(
  turn: TurnRow,
  {
    answers,
    claims,
    calls,
    seesPersona,
    ...again
  }: Pick<TurnDetail, 'triesAgain' | 'triedAgainBy'> & {
    answers: readonly TurnAnswerRow[];
    /** Of each task, every claim on it. */
    claims: ReadonlyMap<string, TurnDetail['answers'][number]['attempts']>;
    /** Of all its rounds. */
    calls: readonly CallRow[];
    seesPersona: boolean;
  },
): TurnDetail {
  return {
    ...turnView(turn),
    ...again,
    answers: answers.map((answer) => {
      const { made, taskId, usage } = answer;
      const isCut = usage !== null && wasCut(usage.promptTokens, made?.expected ?? null);
      return {
        ...answer,
        ...(isCut && { backendTruncated: true }),
        attempts: (taskId === null ? undefined : claims.get(taskId)) ?? [],
        serverCalls: calls.filter(({ roundId }) => roundId === taskId).map(callView),
        made: made && !seesPersona ? hidden(made) : made,
      };
    }),
  };
}
