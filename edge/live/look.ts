import { createHash } from 'node:crypto';
import { everything } from '../../core/access.ts';
import type { Concerns } from '../../core/registry/audit/audits.ts';
import type { TaskInShort } from '../../core/registry/tasks/tasks.ts';
import { isTerminal } from '../../core/task/task.ts';
import type { Liveness } from '../../core/flow/alive/liveness.ts';
import { refOf } from '../../core/flow/deps.ts';
import type { QueueDoor } from '../../core/queue/door.ts';
import type { Registry } from '../../core/registry/registry.ts';
import { countPools } from '../shown/pool-counts.ts';

/** What is looked at of the whole installation, however large it is. */
const MOST_POOLS = 100;
const MOST_TASKS = 200;
const MOST_EVENTS = 200;

export interface LookDeps {
  registry: Pick<Registry, 'pools' | 'tasks' | 'audits'>;
  liveness: Pick<Liveness, 'loadPools'>;
  queue: Pick<QueueDoor, 'fences' | 'running'>;
}

interface Seen {
  /** Changes with what it stands for, and is nothing else. */
  mark: string;
}
export interface SeenPool extends Seen {
  poolKey: string;
}
export interface SeenTask extends Seen {
  id: string;
  ownerId: string;
  poolKey: string;
}

export interface Look {
  pools: readonly SeenPool[];
  tasks: readonly SeenTask[];
  /** The newest of the audit. */
  events: readonly Concerns[];
}

const markOf = (value: unknown): string => createHash('sha1').update(JSON.stringify(value)).digest('base64');

async function lookAtPools({ registry, liveness, queue }: LookDeps): Promise<SeenPool[]> {
  const keys = await registry.pools.list({ scope: everything, after: undefined, limit: MOST_POOLS });
  const [pools, counts] = await Promise.all([
    liveness.loadPools(keys),
    countPools({ registry, queue }, keys),
  ]);
  return pools.map(({ key, members }) => {
    const { running = 0, pending = 0 } = counts.get(key) ?? {};
    const each = members.map(({ row, status, misconfigured, statusReason, announced }) => [
      row.name,
      row.hold,
      status,
      misconfigured,
      statusReason,
      announced.map((one) => [one.slots, one.running, one.state, one.restsMs !== undefined]),
    ]);
    return { poolKey: key, mark: markOf([each, running, pending]) };
  });
}

async function lookAtTasks({ registry, queue }: LookDeps): Promise<SeenTask[]> {
  const rows = await registry.tasks.newest(MOST_TASKS);
  const live = rows.filter(({ status }) => !isTerminal(status));
  const fences = await queue.fences.read(live.map(refOf));
  const fenceById = new Map(live.map((row, i) => [row.id, fences[i] ?? null]));
  const stateOf = (row: TaskInShort): string => {
    const fence = fenceById.get(row.id);
    return fence ? `${fence.state} ${fence.llm} ${String(fence.firstAt ?? '')}` : row.status;
  };
  return rows.map((row) => {
    const { id, ownerId, poolName: poolKey } = row;
    return { id, ownerId, poolKey, mark: stateOf(row) };
  });
}

/** How pools and the newest tasks are now: a few queries, whoever watches. @throws McpctlError `unavailable`. */
export async function look(deps: LookDeps): Promise<Look> {
  const [pools, tasks, events] = await Promise.all([
    lookAtPools(deps),
    lookAtTasks(deps),
    deps.registry.audits.latest(MOST_EVENTS),
  ]);
  return { pools, tasks, events };
}

const changed = <T extends Seen>(
  before: readonly T[],
  after: readonly T[],
  keyOf: (one: T) => string,
): T[] => {
  const marks = new Map(before.map((one) => [keyOf(one), one.mark]));
  return after.filter((one) => marks.get(keyOf(one)) !== one.mark);
};

/**
 * Of what a later look shows that an earlier one did not, or otherwise: found once for all who watch. A pool may be gone; tasks and events only
 * get out of sight.
 */
export function changesBetween(before: Look, after: Look): Look {
  const keyOf = ({ poolKey }: SeenPool): string => poolKey;
  const now = new Set(after.pools.map(keyOf));
  const gone = before.pools.filter((pool) => !now.has(pool.poolKey));
  const seen = new Set(before.events.map(({ id }) => id));
  return {
    pools: [...changed(before.pools, after.pools, keyOf), ...gone],
    tasks: changed(before.tasks, after.tasks, ({ id }) => id),
    events: after.events.filter(({ id }) => !seen.has(id)),
  };
}
