import { McpctlError, messageOf } from '../../../../core/errors.ts';
import type { DueTurn } from '../../../../core/registry/threads/tools/calls.ts';
import type { TaskRow } from '../../../../core/task/task.ts';
import type { EdgeDeps } from '../../../deps.ts';
import { leaveAccepted } from '../../ask/submit.ts';
import { untilEnded } from '../../follow/until-ended.ts';
import { planCalls, type Planned } from './begin.ts';
import { collectCalls } from './collect.ts';

/** There is no room now. */
const full = ['too_many_requests', 'queue_full'];
/** For now: the same step is taken by a later look. */
const passing = ['unavailable', ...full];

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

/** As many as their caller has room for, in the order of the answer; the others wait until there is more. */
function insert(
  deps: EdgeDeps,
  turn: DueTurn,
  { actor, begun, orders, asksClient }: Planned,
): Promise<TaskRow[] | null> {
  const all = [...orders];
  const beginFirst = (count: number): Promise<TaskRow[] | null> => {
    const late = new Set(all.slice(count).map(([id]) => id));
    const now = begun.map((each) =>
      each.becomes !== 'waits' && 'task' in each.becomes && late.has(each.becomes.task.id)
        ? { ...each, becomes: 'waits' as const }
        : each,
    );
    return deps.registry.threads.beginCalls({ turn, begun: now, asksClient });
  };
  const from = async (at: number): Promise<TaskRow[] | null> => {
    const next = all[at]?.[1];
    if (!next) return await beginFirst(at);
    const to = { poolKey: next.target.poolKey, bytes: Buffer.byteLength(next.request.body) };
    let hasRoom = false;
    try {
      return await deps.caps.admit(actor, to, () => {
        hasRoom = true;
        return from(at + 1);
      });
    } catch (thrown) {
      const isFull = thrown instanceof McpctlError && full.includes(thrown.code);
      if (hasRoom || !isFull) throw thrown;
      return await beginFirst(at);
    }
  };
  return from(0);
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
