import { refOf } from '../../../core/flow/deps.ts';
import { uuidSchema } from '../../../core/names.ts';
import type { Fence } from '../../../core/queue/task/fence.ts';
import { isTerminal, type TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';
import { isHeld, lastAttempt, type TaskDetails } from './task-view.ts';

type Deps = Pick<EdgeDeps, 'registry' | 'queue'>;

/** Without Redis the rows are still true, only less exact: then there are none. */
export async function fencesOf(
  deps: Pick<Deps, 'queue'>,
  rows: readonly TaskRow[],
): Promise<Map<string, Fence | null>> {
  const live = rows.filter((row) => !isTerminal(row.status));
  const fences = await deps.queue.fences.read(live.map(refOf)).catch(() => []);
  return new Map(live.map((row, i) => [row.id, fences[i] ?? null]));
}

/** Which members had a task, and which has it now. */
export async function attemptsOf(
  deps: Deps,
  row: TaskRow,
): Promise<Pick<TaskDetails, 'lost' | 'now'> & { fence: Fence | null }> {
  const { tasks, llms } = deps.registry;
  const [fences, lost] = await Promise.all([fencesOf(deps, [row]), tasks.attempts(row.id)]);
  const fence = fences.get(row.id) ?? null;
  if (!fence || !isHeld(fence)) return { lost, now: null, fence };
  const id = uuidSchema.safeParse(fence.llm).data;
  const llm = id === undefined ? '' : ((await llms.byId(id))?.name ?? id);
  return { lost, now: { fence, llm }, fence };
}

/** Of each task that is kept still, every claim that a member had on it: those that came to nothing, and the one that it ended with. */
export async function claimsOn(
  { registry: { tasks } }: Pick<Deps, 'registry'>,
  ids: readonly string[],
): Promise<ReadonlyMap<string, { llm: string; reason: string }[]>> {
  const [rows, lost] = await Promise.all([tasks.byIds(ids), tasks.attemptsOf(ids)]);
  return new Map(
    rows.map((row) => {
      const claims = [...(lost.get(row.id) ?? []), lastAttempt(row) ?? []].flat();
      return [row.id, claims.map(({ llm, reason }) => ({ llm, reason }))];
    }),
  );
}
