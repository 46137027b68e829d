import { callsThatMayHaveRun, outcomeUnknown } from '../../core/flow/may-have-run.ts';
import { whyManyWaited } from '../../core/flow/take-back.ts';
import { closeMany } from '../../core/flow/end/close-many.ts';
import type { ErrorReason } from '../../core/task/error-reason.ts';
import type { ErrorCode } from '../../core/errors.ts';
import type { Overdue } from '../../core/registry/tasks/task-upkeep.ts';
import { everything } from '../../core/access.ts';
import { EachItem, type Acted } from '../../core/runtime/each-item.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

const PAGE = 2_000;
const TOGETHER = 250;
const BUDGET_MS = 5_000;
/** Of more pools than these it is not asked in each turn which have an llm. */
const MANY_POOLS = 100;
const TURNS = 5;

/** A task that nobody will take, and why. */
interface Expired {
  row: Overdue;
  code: ErrorCode;
  message: string;
  /** What a backend said beside the sentence. */
  reason?: ErrorReason | undefined;
}

/**
 * Ends tasks that nobody took in time, and those whose pool has no llm any more. Never one that is claimed:
 * its running time has a limit of its own.
 */
export function createExpireDuty(deps: DutyDeps): Duty {
  const { registry, flow, clock, log } = deps;
  const each = new EachItem<Expired>({
    name: 'expire',
    idOf: ({ row }) => row.id,
    act: (some) => expire(deps, some),
    // What Redis says of it cannot be read: the row alone decides.
    giveUp: ({ row, code, message, reason = null }) =>
      registry.tasks.close(row.id, { status: 'error', code, message, errorReason: reason }),
    together: TOGETHER,
    lanes: 4,
    clock,
    log,
  });
  const emptyPools = emptyPoolsOf(deps);
  return {
    name: 'expire',
    everyMs: 2_000,
    async run(signal) {
      const total = { did: 0, left: 0, failed: 0, ended: 0 };
      const began = clock.elapsed();
      const spent = (): boolean => signal.aborted || clock.elapsed() - began > BUDGET_MS;
      const act = async (some: readonly Expired[]): Promise<number> => {
        const round = await each.run(some, signal);
        total.did += round.did;
        total.left += round.left;
        total.failed += round.failed;
        total.ended += round.ended;
        return round.did + round.ended;
      };
      // What stays, as it is claimed or held by somebody, is passed by.
      for (let skip = 0; !spent();) {
        const rows = await registry.tasks.overdue({ skip, limit: PAGE });
        skip += rows.length - (await act(await late(flow, rows)));
        if (rows.length < PAGE) break;
        if (spent()) total.left += 1; // at least
      }
      for (const pool of await emptyPools()) {
        for (let before: string | undefined; !spent();) {
          const rows: Overdue[] = await registry.tasks.list({
            scope: everything,
            pool,
            statuses: ['pending'],
            before,
            limit: PAGE,
          });
          const message = `No active Llm in pool '${pool}'`;
          await act(rows.map((row) => ({ row, code: 'no_active_llm', message })));
          before = rows.at(-1)?.id;
          if (rows.length < PAGE) break;
        }
      }
      return announced(deps, 'expire', total);
    },
  };
}

/** That many pools still have an llm is asked every few turns; of one that is new at once. */
function emptyPoolsOf({ registry, pools }: DutyDeps): () => Promise<string[]> {
  let keptPools: ReadonlySet<string> = new Set();
  let turn = 0;
  return async () => {
    const open = await pools.list();
    const isTrusted = open.length > MANY_POOLS && turn++ % TURNS > 0;
    const asked = isTrusted ? open.filter((key) => !keptPools.has(key)) : open;
    const existing = await registry.llms.poolsAmong(asked);
    keptPools = isTrusted ? new Set([...keptPools, ...existing]) : existing;
    return asked.filter((key) => !existing.has(key));
  };
}

/** Calls of tools that may have run are ended as that, and none before that can be said. */
async function asKnown(deps: DutyDeps, some: readonly Expired[]): Promise<readonly Expired[]> {
  const uncertain = await callsThatMayHaveRun(
    deps,
    some.map(({ row }) => row),
  );
  if (!uncertain) return some.filter(({ row }) => row.operation !== 'mcp');
  return some.map((one) => {
    if (!uncertain.has(one.row.id)) return one;
    const { code, message } = outcomeUnknown(one.row.id);
    return { row: one.row, code, message };
  });
}

/** Those that end for the same reason go together. */
async function expire(deps: DutyDeps, seen: readonly Expired[]): Promise<Acted<Expired>> {
  const { flow } = deps;
  const alike = new Map<string, Expired[]>();
  for (const one of await asKnown(deps, seen)) {
    const why = JSON.stringify([one.code, one.message, one.reason]);
    alike.set(why, [...(alike.get(why) ?? []), one]);
  }
  const failed = new Map<Expired, unknown>();
  let did = 0;
  for (const group of alike.values()) {
    const [first] = group;
    if (!first) continue;
    const { code, message, reason } = first;
    const { retryAfterS, ...its } = reason ?? {};
    const rows = group.map(({ row }) => row);
    const how = { status: 'error', code, message, reason: its, retryAfterS } as const;
    const acted = await closeMany(flow, rows, { mode: 'expire', ...how });
    did += acted.did;
    for (const one of group) if (acted.failed.has(one.row)) failed.set(one, acted.failed.get(one.row));
  }
  return { did, failed };
}

/** What is known of why it waited is told with it; asked only of those that came back from a member at all. */
async function late(flow: DutyDeps['flow'], rows: readonly Overdue[]): Promise<Expired[]> {
  const back = rows.filter((row) => row.epoch > 1).map(({ id }) => id);
  const heard = await whyManyWaited(flow, back);
  return rows.map((row) => {
    const plain =
      row.source === 'async'
        ? 'timed out waiting for a worker'
        : 'No member took the task within its time limit.';
    const why = heard.get(row.id);
    const message = why ? `${plain} ${why.message}` : plain;
    return { row, code: 'queue_timeout', message, reason: why?.reason };
  });
}
