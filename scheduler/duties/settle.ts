import { McpctlError } from '../../core/errors.ts';
import { storedIdSchema } from '../../core/names.ts';
import { errorReasonIn, settleTask } from '../../core/flow/end/settle.ts';
import type { TaskRef } from '../../core/queue/task/fence.ts';
import { ranTooLong } from '../../core/registry/database/faults.ts';
import type { Settling } from '../../core/registry/tasks/settle-tasks.ts';
import { EachItem, type Acted } from '../../core/runtime/each-item.ts';
import { msFor } from '../../core/runtime/time-of-bytes.ts';
import { isTerminal, type TaskRow } from '../../core/task/task.ts';
import { settledEvent } from '../../core/task/settled-event.ts';
import { forListed } from '../listed.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

/** The waiting edge settles its own at once; what is older has no edge any more, but for what is large: `isAnEdges`. */
const EDGE_HAS_MS = 2_500;
/** What an edge is left beyond it, of the most that so many bytes may take: 64 MiB in 8.4 s, where an idle machine needs 2. */
const EDGES_SHARE = 1 / 4;
const TOGETHER = 200;
const LANES = 2;
/** More than the largest answer may take to be written. */
const ACT_MS = 45_000;

/** Settles ended tasks whose edge did not: it died, its caller had left, or Postgres was away. */
export function createSettleDuty(deps: DutyDeps): Duty {
  const { queue, registry, clock, log } = deps;
  let isFirst = true;
  /** What ended later than this, by Redis's clock, may still be an edge's. */
  let upTo = Infinity;

  const each = new EachItem<TaskRef>({
    name: 'settle',
    idOf: ({ taskId }) => taskId,
    act: (refs) => settleMany(deps, refs, upTo),
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
      upTo = isFirst || queue.steps.isBlind() ? Infinity : now - EDGE_HAS_MS;
      isFirst = false;
      const look = { index: 'ended', upTo, signal } as const;
      return announced(deps, 'settle', await forListed(deps, look, (refs) => each.run(refs, signal)));
    },
  };
}

async function settleOne({ queue, registry, flow }: DutyDeps, ref: TaskRef): Promise<number> {
  const row = await registry.tasks.byId(ref.taskId);
  const open = row && !isTerminal(row.status) ? row : null;
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

/**
 * An edge reads and writes an answer this large just now, maybe: both doing it would cost the memory and the time of it
 * twice, on a machine that has none to spare. Nobody waits at an edge for what is asynchronous.
 */
async function isAnEdges(
  { queue }: DutyDeps,
  { ref, row, bytes, upTo }: { ref: TaskRef; row: TaskRow | undefined; bytes: number; upTo: number },
): Promise<boolean> {
  if (upTo === Infinity || row?.source === 'async') return false;
  const endedAt = await queue.lists.instantOf({ index: 'ended', ref });
  return endedAt !== null && endedAt + msFor(bytes) * EDGES_SHARE > upTo;
}

/** What every one of them needs in one statement; what needs more is done by itself. */
async function settleMany(deps: DutyDeps, refs: readonly TaskRef[], upTo: number): Promise<Acted<TaskRef>> {
  const { queue, registry, flow } = deps;
  // Whoever writes in a pool's keys decides about its tasks alone.
  const ids = refs.map(({ taskId }) => taskId).filter((id) => storedIdSchema.safeParse(id).success);
  const rowsOf = await registry.tasks.byIds(ids);
  const openRows = new Map(rowsOf.filter((row) => !isTerminal(row.status)).map((row) => [row.id, row]));
  const isOpen = (ref: TaskRef): boolean => openRows.get(ref.taskId)?.poolName === ref.poolKey;
  const waiting = refs.filter(isOpen);
  const lasts = await queue.streams.lasts(waiting);
  const settlings: Settling[] = [];
  const over = new Set(refs.filter((ref) => !isOpen(ref)));
  const alone: TaskRef[] = [];
  const failed = new Map<TaskRef, unknown>();
  for (const [at, ref] of waiting.entries()) {
    const last = lasts[at] ?? null;
    const row = openRows.get(ref.taskId);
    if (last instanceof Error) failed.set(ref, last);
    else if (last === null) over.add(ref);
    else if (last.kind === 'large') {
      if (!(await isAnEdges(deps, { ref, row, bytes: last.bytes, upTo }))) alone.push(ref);
    }
    // What a turn's answer is made of is read for it alone, and of what made a batch fail it is told why.
    else if (refs.length === 1 || row?.turnId !== null) alone.push(ref);
    else if (last.kind === 'end')
      settlings.push({
        id: ref.taskId,
        ending: last.ending,
        reason: errorReasonIn(last.ending.outcome),
      });
  }
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
