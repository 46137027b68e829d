import { McpctlError, messageOf } from '../../../../core/errors.ts';
import type { DueTurn } from '../../../../core/registry/threads/tools/calls.ts';
import type { TaskRow } from '../../../../core/task/task.ts';
import type { EdgeDeps } from '../../../deps.ts';
import { leaveAccepted } from '../../ask/submit.ts';
import { untilEnded } from '../../follow/until-ended.ts';
import { planCalls, type Planned } from './begin.ts';
import { collectCalls } from './collect.ts';

/** For now: the same step is taken by a later look. */
const passing = ['unavailable', 'too_many_requests', 'queue_full'];

/**
 * Takes the step that is next with the calls of a thread's turn, if there is one: what was called is begun, what has ended is collected. Many may do
 * so at once, wherever; one does (docs/decisions/0077-an-agent-calls-its-project-s-tools.md).
 * @param goOn takes what is next in that thread, once a call that was begun here has ended. @returns whether there was one.
 */
export async function stepCalls(
  deps: EdgeDeps,
  threadId: string,
  goOn: (threadId: string) => Promise<void>,
): Promise<boolean> {
  const { threads } = deps.registry;
  const id = await threads.calling(threadId);
  if (id === undefined) return false;
  try {
    const turn = await threads.dueTurn(threadId);
    if (turn) await begin(deps, turn, goOn);
    await collectCalls(deps, threadId);
  } catch (thrown) {
    if (!(thrown instanceof McpctlError) || thrown.code === 'internal') throw thrown;
    const { code, message } = thrown;
    if (!passing.includes(code))
      await threads.endUnasked({ id, status: 'waiting' }, { status: 'error', code, message });
  }
  return true;
}

async function begin(
  deps: EdgeDeps,
  turn: DueTurn,
  goOn: (threadId: string) => Promise<void>,
): Promise<void> {
  const planned = await planCalls(deps, turn);
  const rows = await insert(deps, turn, planned);
  for (const row of rows ?? []) {
    const order = planned.orders.get(row.id);
    if (!order) continue;
    await leaveAccepted(deps, order, row);
    followOn(deps, row, () => goOn(turn.threadId));
  }
}

/** With room for each, or none. */
function insert(
  deps: EdgeDeps,
  turn: DueTurn,
  { actor, begun, orders, asksClient }: Planned,
): Promise<TaskRow[] | null> {
  const beginAll = (): Promise<TaskRow[] | null> =>
    deps.registry.threads.beginCalls({ turn, begun, asksClient });
  return [...orders.values()].reduce<typeof beginAll>((next, { target, request }) => {
    const to = { poolKey: target.poolKey, bytes: Buffer.byteLength(request.body) };
    return () => deps.caps.admit(actor, to, next);
  }, beginAll)();
}

/**
 * Settles a task of such a turn as soon as it ends, though nobody waits for it; where this edge dies, the scheduler does, and another edge
 * goes on.
 */
export function followOn(deps: EdgeDeps, row: TaskRow, ended: () => Promise<void>): void {
  const withinMs = deps.config.queueSyncMs + deps.config.runMs;
  untilEnded(deps, row, { withinMs, gone: deps.leaving })
    .then(() => (deps.leaving.aborted ? undefined : ended()))
    .catch((thrown: unknown) =>
      deps.log.debug({ taskId: row.id, why: messageOf(thrown) }, 'a turn is gone on with by a later look'),
    );
}
