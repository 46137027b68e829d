import { McpctlError } from '../../../core/errors.ts';
import type { Follower } from '../../../core/queue/task/follow.ts';
import { isTerminal, type TaskRow } from '../../../core/task/task.ts';
import { actorOf } from '../../http/context.ts';
import type { EdgeDeps } from '../../deps.ts';
import { unreported } from '../../inference/answer/report.ts';
import { followFrom } from '../../inference/follow/resume.ts';
import { formOf, nothingAsked } from '../../inference/form/index.ts';
import { lookOn } from '../../inference/look-on.ts';
import { untilClosed } from '../../limits/caps.ts';
import { answerCall, quietOf, type Hearing } from './answer-call.ts';
import { scopeOf, type Asked, type McpEdge } from '../asked.ts';
import { pipeOf, progressOf, titleBy } from '../pipe/pipe.ts';
import { callForm, failureOf } from './call-form.ts';
import { eventIds, readEventId } from './event-id.ts';

/** Who asks for the rest of a stream. */
export type Returning = Pick<Asked, 'req' | 'res' | 'project' | 'leg' | 'session'>;

/**
 * Goes on with the stream of a call after the event that a client has seen last, at whatever edge it asks: the id says which call,
 * and what its caller calls it; the events are in Redis, and the end in the row.
 * @throws McpctlError `invalid_cursor` for an id that was never given out, or to another session; `gone` for a call that is kept
 *   no more.
 */
export async function resumeCall(deps: McpEdge, back: Returning, lastEventId: string): Promise<void> {
  const { req, res, project, leg, session } = back;
  const key = session?.key ?? (await deps.registry.mcp.sessionKey());
  const scope = { key, scope: scopeOf(back) };
  const stream = readEventId(lastEventId, scope);
  if (!stream) throw new McpctlError('invalid_cursor');
  const { taskId, id, progressToken, of } = stream;
  const row = await deps.registry.tasks.byId(taskId);
  if (row?.ownerId !== actorOf(req).userId) throw new McpctlError('gone', undefined, { taskId });
  untilClosed(res, deps.caps.hold(actorOf(req), { bytes: 0, streaming: true }));
  const title = titleBy(deps, project, actorOf(req));
  const call = { leg, id, of, settled: pipeOf(deps, { project, of, title }) };
  const form = formOf(row, { ...nothingAsked, formAs: callForm(call) });
  const idAt = eventIds(scope, stream);
  const hearing: Hearing = {
    streams: true,
    progressToken,
    ids: () => (at) => idAt(at, deps.formForAll.now()),
    primes: false,
    redact: progressOf(deps, project),
    statusOf: () => 200,
    failure: ({ code, message }) => failureOf(call, { code, message }),
  };
  const { follower, isWhole } = await followOn(deps, row, stream);
  // What was told before is not known: then it is told no more of it, and the end.
  const answerer = answerCall(isWhole ? hearing : { ...hearing, progressToken: null });
  res.set('x-mcpctl-task-id', taskId);
  if (follower) {
    const own = { form, answerer, quiet: quietOf(hearing, deps.config.keepAliveMs) };
    return await lookOn(deps, { res, row, after: stream.after, own }, follower);
  }
  const wait = {
    next: () => Promise.resolve({ kind: 'row', row } as const),
    mayShow: () => Promise.resolve(null),
  };
  const resumed = { seen: null };
  await answerer({ deps, res, row, report: unreported, form, wait, keepAlive: 'comment', resumed });
}

/** Redis may have lost what came after a position while the call still runs: its end is told all the same. */
async function followOn(
  deps: EdgeDeps,
  row: TaskRow,
  { after }: NonNullable<ReturnType<typeof readEventId>>,
): Promise<{ follower: Follower | null; isWhole: boolean }> {
  try {
    return { follower: await followFrom(deps, row, after), isWhole: true };
  } catch (thrown) {
    const isLost = thrown instanceof McpctlError && thrown.code === 'gone' && !isTerminal(row.status);
    if (!isLost) throw thrown;
    return { follower: await followFrom(deps, row, null), isWhole: false };
  }
}
