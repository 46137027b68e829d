import { LONGEST_READ_MS } from '../core/queue/task/follow.ts';
import type { TaskRef } from '../core/queue/task/fence.ts';
import type { DutyDeps } from './duties/duty.ts';

const AT_ONCE = 500;
/** What is settled by then is needed by nobody but who resumes. */
const SETTLED_MS = 5_000;

/** What the events of a task weigh in Redis. */
export interface Weighed {
  ref: TaskRef;
  ownerId: string;
  bytes: number;
}

type Row = { id: string; poolName: string; ownerId: string };
type Deps = Pick<DutyDeps, 'config' | 'registry' | 'queue'>;

async function weigh({ queue }: Deps, rows: readonly Row[]): Promise<Weighed[]> {
  const refs = rows.map(({ id, poolName }) => ({ taskId: id, poolKey: poolName }));
  const weights = await queue.events.weigh(refs);
  return refs.map((ref, n) => ({ ref, ownerId: rows[n]?.ownerId ?? '', bytes: weights[n] ?? 0 }));
}

/** The events of ended tasks that are still kept, in the order of their ends, page by page; of these owners alone. */
export async function* endedEvents(
  deps: Deps,
  spent: () => boolean,
  owners?: ReadonlySet<string>,
): AsyncGenerator<Weighed[]> {
  const { eventKeepMs } = deps.config;
  // What is still being read stays for longer than it is kept else.
  const span = { fromMs: eventKeepMs + LONGEST_READ_MS, toMs: Math.min(SETTLED_MS, eventKeepMs) };
  for (let after: { id: string; at: string } | null = null; !spent();) {
    const rows = await deps.registry.tasks.endedWithin(span, { after, limit: AT_ONCE });
    yield await weigh(deps, owners ? rows.filter(({ ownerId }) => owners.has(ownerId)) : rows);
    after = rows.at(-1) ?? null;
    if (rows.length < AT_ONCE) return;
  }
}

/** The events of tasks that have not ended, page by page. */
export async function* openEvents(deps: Deps, spent: () => boolean): AsyncGenerator<Weighed[]> {
  for (let after: string | null = null; !spent();) {
    const rows = await deps.registry.tasks.openOlderThan(0, { after, limit: AT_ONCE });
    yield await weigh(deps, rows);
    after = rows.at(-1)?.id ?? null;
    if (rows.length < AT_ONCE) return;
  }
}
