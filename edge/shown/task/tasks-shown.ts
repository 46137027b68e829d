import type { Actor } from '../../../core/access.ts';
import type { Fence } from '../../../core/queue/task/fence.ts';
import type { TaskRow, TaskView } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';
import { fencesOf } from './attempts-of.ts';
import { mayKnowToken, mayKnowUser } from '../known-names.ts';
import { taskView } from './task-view.ts';

type Asker = Pick<TaskView, 'owner' | 'tokenName'>;
type Deps = Pick<EdgeDeps, 'registry' | 'queue'>;

/** Who asked, by what names an actor may know. What they asked themselves, with this token, is told without a question. */
async function askersOf(
  { registry: { tasks } }: Pick<Deps, 'registry'>,
  actor: Actor,
  rows: readonly TaskRow[],
): Promise<(row: TaskRow) => Asker> {
  const isOwn = ({ ownerId, tokenId }: TaskRow): boolean =>
    ownerId === actor.userId && tokenId === actor.tokenId;
  const ids = rows.filter((row) => !isOwn(row)).map(({ id }) => id);
  const askers = ids.length === 0 ? undefined : await tasks.askersOf(ids);
  return (row) => {
    if (isOwn(row)) return { owner: actor.userName, tokenName: actor.tokenName };
    const { owner, token, tokenOwnerId } = askers?.get(row.id) ?? {
      owner: null,
      token: null,
      tokenOwnerId: null,
    };
    const isUserKnown = owner !== null && mayKnowUser(actor, { ownerId: row.ownerId, name: owner });
    const isTokenKnown = mayKnowToken(actor, { tokenId: row.tokenId, ownerId: tokenOwnerId });
    return { owner: isUserKnown ? owner : null, tokenName: isTokenKnown ? token : null };
  };
}

/** One that nobody can have taken yet, or that is shown as its row says. */
export async function taskShown(
  deps: Pick<Deps, 'registry'>,
  actor: Actor,
  { row, fence = null }: { row: TaskRow; fence?: Fence | null },
): Promise<TaskView> {
  const askerOf = await askersOf(deps, actor, [row]);
  return { ...taskView(row, fence), ...askerOf(row) };
}

/** With who has them now. */
export async function tasksShown(deps: Deps, actor: Actor, rows: readonly TaskRow[]): Promise<TaskView[]> {
  const [fences, askerOf] = await Promise.all([fencesOf(deps, rows), askersOf(deps, actor, rows)]);
  return rows.map((row) => ({ ...taskView(row, fences.get(row.id) ?? null), ...askerOf(row) }));
}
