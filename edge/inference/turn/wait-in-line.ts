import { McpctlError, type ErrorCode, isErrorCode } from '../../../core/errors.ts';
import { pause } from '../../../core/runtime/clock.ts';
import type { EdgeDeps } from '../../deps.ts';
import { whileThere, whyGone } from '../../http/gone.ts';
import { LEFT } from '../../http/context.ts';
import { answerFrom } from '../attach.ts';
import type { Call } from '../ask/call.ts';
import type { KnownPlace } from './form.ts';
import { startNext } from './line.ts';

const LOOK_MS = 250;

/**
 * Waits with a caller until the turn's time has come, then answers it as any other. Who leaves meanwhile stops nothing.
 * @throws McpctlError `queue_timeout`: the turn stays in line; else why it was not asked.
 */
export async function answerInLine(deps: EdgeDeps, call: Call, place: KnownPlace): Promise<void> {
  const { threadId = '', n = 0 } = place.current ?? {};
  const { threads, tasks } = deps.registry;
  const until = deps.clock.elapsed() + deps.config.queueSyncMs;
  const row = await whileThere(deps, { res: call.res, poolKey: call.report.pool ?? '' }, async (gone) => {
    for (;;) {
      const turn = await threads.turn(threadId, n);
      if (turn.taskId !== null && turn.taskId !== place.after) return await tasks.byId(turn.taskId);
      if (turn.status !== 'queued' && turn.status !== 'waiting')
        throw endOf(turn.errorCode, turn.errorMessage);
      if (deps.clock.elapsed() > until) throw late(n);
      await startNext(deps, threadId);
      await pause(LOOK_MS, gone);
      if (!gone.aborted) continue;
      const why = whyGone(gone, '');
      if (why) throw why;
      call.report.finish(LEFT, null);
      return undefined;
    }
  });
  if (!row) return;
  const { id = '' } = place.current ?? {};
  const { rounds, composition } = await threads.lastAsked(id);
  place.round = rounds;
  place.composition = composition;
  const answer = await threads.answer(id);
  if (place.current) place.current = { ...place.current, answerIndex: answer?.turnIndex ?? null };
  const { leftOut = 0 } = place.composition ?? {};
  if (leftOut > 0 && !call.res.headersSent) call.res.set('x-mcpctl-left-out', String(leftOut));
  await answerFrom(deps, call, row);
}

const late = (n: number): McpctlError =>
  new McpctlError('queue_timeout', `Turn ${n} is still in line, and stays there; get it to see how it ends.`);

function endOf(code: string | null, message: string | null): McpctlError {
  const errorCode: ErrorCode = code !== null && isErrorCode(code) ? code : 'task_cancelled';
  return new McpctlError(errorCode, message ?? undefined);
}
