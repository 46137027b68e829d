import { McpctlError } from '../../core/errors.ts';
import { storedIdSchema } from '../../core/names.ts';
import { errorReasonIn, settleTask } from '../../core/flow/end/settle.ts';
import type { TaskRef } from '../../core/queue/task/fence.ts';
import { ranTooLong } from '../../core/registry/database/faults.ts';
import type { Settling } from '../../core/registry/tasks/settle-tasks.ts';
import { EachItem, type Acted } from '../../core/runtime/each-item.ts';
import { isTerminal } from '../../core/task/task.ts';
import { settledEvent } from '../../core/task/settled-event.ts';
import { forListed } from '../listed.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

/** The waiting edge settles its own at once; what is older has no edge any more. */
const EDGE_HAS_MS = 2_500;
const TOGETHER = 200;
const LANES = 2;
/** More than the largest answer may take to be written. */
const ACT_MS = 45_000;

/** Settles ended tasks whose edge did not: it died, its caller had left, or Postgres was away. */
export function createSettleDuty(deps: DutyDeps): Duty {
  const { queue, registry, clock, log } = deps;
  let isFirst = true;

  const each = new EachItem<TaskRef>({
    name: 'settle',
    idOf: ({ taskId }) => taskId,
    act: (refs) => (refs.length === 1 && refs[0] ? settleOne(deps, refs[0]) : settleMany(deps, refs)),
    giveUp: async (ref) => {
      const message = 'The answer was complete, but could not be recorded.';
      await registry.tasks.close(ref.taskId, { status: 'error', code: 'unstorable_result', message });
      await queue.lists.strike({ index: 'ended', refs: [ref] });
    },
    together: TOGETHER,
    lanes: LANES,
    actMs: ACT_MS,
    clock,
    log,
  });
  return {
    name: 'settle',
    everyMs: 1_000,
    async run(signal) {
      const heard = queue.steps.read();
      const now = await queue.server.now();
      heard(now);
      // What ended before Redis's clock was set back would wait for that time to come again.
      const upTo = isFirst || queue.steps.isBlind() ? Infinity : now - EDGE_HAS_MS;
      isFirst = false;
      const look = { index: 'ended', upTo, signal } as const;
      return announced(deps, 'settle', await forListed(deps, look, (refs) => each.run(refs, signal)));
    },
  };
}

async function settleOne({ queue, registry, flow }: DutyDeps, ref: TaskRef): Promise<number> {
  const isId = storedIdSchema.safeParse(ref.taskId).success;
  const row = isId ? await registry.tasks.byId(ref.taskId) : undefined;
  const open = row && row.poolName === ref.poolKey && !isTerminal(row.status) ? row : null;
  const last = open ? await queue.streams.last(ref) : null;
  if (open && last?.kind === 'end') {
    try {
      await settleTask(flow, open, last.ending);
    } catch (thrown) {
      // Postgres answers, and has had the time that so many bytes take: it is this answer that it cannot keep.
      throw ranTooLong(thrown) ? new McpctlError('unstorable_result', undefined, { cause: thrown }) : thrown;
    }
    return 1;
  }
  if (!open || last === null) await queue.dispatch.forgetEnded(ref);
  return 0;
}

/** What every one of them needs in one statement; what needs more is done by itself. */
async function settleMany(deps: DutyDeps, refs: readonly TaskRef[]): Promise<Acted<TaskRef>> {
  const { queue, registry, flow } = deps;
  // Whoever writes in a pool's keys decides about its tasks alone.
  const rowsOf = await registry.tasks.byIds(refs.map(({ taskId }) => taskId));
  const openRows = new Map(rowsOf.filter((row) => !isTerminal(row.status)).map((row) => [row.id, row]));
  const isOpen = (ref: TaskRef): boolean => openRows.get(ref.taskId)?.poolName === ref.poolKey;
  const waiting = refs.filter(isOpen);
  const lasts = await queue.streams.lasts(waiting);
  const settlings: Settling[] = [];
  const over = new Set(refs.filter((ref) => !isOpen(ref)));
  const alone: TaskRef[] = [];
  const failed = new Map<TaskRef, unknown>();
  waiting.forEach((ref, at) => {
    const last = lasts[at] ?? null;
    if (last instanceof Error) failed.set(ref, last);
    // What a turn's answer is made of is read for it alone.
    else if (last === 'large' || (last !== null && openRows.get(ref.taskId)?.turnId !== null))
      alone.push(ref);
    else if (last === null) over.add(ref);
    else if (last.kind === 'end')
      settlings.push({
        id: ref.taskId,
        ending: last.ending,
        reason: errorReasonIn(last.ending.outcome),
      });
  });
  const rows = settlings.length === 0 ? [] : await registry.tasks.settleMany(settlings);
  const settled = new Set(rows.map(({ id }) => id));
  for (const row of rows) flow.bus.emit('task.settled', settledEvent(row, flow.by));
  for (const ref of waiting) if (settled.has(ref.taskId)) over.add(ref);
  await queue.lists.strike({ index: 'ended', refs: [...over] });
  let did = rows.length;
  for (const ref of alone) {
    try {
      did += await settleOne(deps, ref);
    } catch (thrown) {
      failed.set(ref, thrown);
    }
  }
  return { did, failed };
}
