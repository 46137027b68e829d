import { cancelled, closeTask } from '../../../../core/flow/end/cancel.ts';
import type { TurnRow } from '../../../../core/registry/threads/rows.ts';
import type { StrayedCall } from '../../../../core/registry/threads/tools/calls.ts';
import { eachInTurn } from '../../../../core/runtime/each-in-turn.ts';
import { isTerminal } from '../../../../core/task/task.ts';
import { flowOf, type EdgeDeps } from '../../../deps.ts';
import { untilEnded } from '../../follow/until-ended.ts';

/** How long a cancel that came after the end waits for the end to be written down. */
const SETTLED_WITHIN_MS = 2_000;

/** Of those that strayed, so many are ended by one look. */
const AT_ONCE = 50;

/**
 * Cancels a turn: one in line, one that is asked, and one that waits for what it has called, which ends with it. One that has ended
 * stays as it is. @throws McpctlError `thread_not_found`.
 */
export async function endTurn(
  deps: EdgeDeps,
  { threadId, n }: Pick<TurnRow, 'threadId' | 'n'>,
): Promise<TurnRow> {
  const { threads, tasks } = deps.registry;
  for (;;) {
    const turn = await threads.turn(threadId, n);
    if (turn.status === 'queued' || turn.status === 'waiting') {
      const unasked = { id: turn.id, status: turn.status };
      const where = turn.status === 'queued' ? ' while it waited in line' : '';
      const message = `The turn was cancelled${where}.`;
      const how = { status: 'cancelled', code: 'task_cancelled', message } as const;
      if (!(await threads.endUnasked(unasked, how))) continue;
    }
    const row = turn.taskId === null ? undefined : await tasks.byId(turn.taskId);
    if (row && (await closeTask(flowOf(deps), row, cancelled)) === 'ended')
      await untilEnded(deps, row, { withinMs: SETTLED_WITHIN_MS, gone: new AbortController().signal });
    const now = await threads.turn(threadId, n);
    // The answer was quicker, and has called tools, or its next round was begun.
    if (now.status === 'waiting' || (now.endedAt === null && now.taskId !== turn.taskId)) continue;
    if (now.serverCalls !== null) await endStrays(deps, now.id);
    return now;
  }
}

/** Ends calls that run on though their turns have ended. @param turnId those of that turn alone. */
export async function endStrays(deps: EdgeDeps, turnId: string | null = null): Promise<void> {
  await eachInTurn(await deps.registry.threads.strayedCalls(AT_ONCE, turnId), (call) => endStray(deps, call));
}

async function endStray(deps: EdgeDeps, call: StrayedCall): Promise<void> {
  const { registry } = deps;
  await closeTask(flowOf(deps), { id: call.taskId, poolName: call.poolName, turnId: null }, cancelled);
  const row = await registry.tasks.byId(call.taskId);
  // One whose end is written down a moment later is looked at again.
  if (!row || isTerminal(row.status)) await registry.threads.endStrayed(call, row?.errorCode ?? null);
}
