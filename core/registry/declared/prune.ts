import type { Knex } from 'knex';
import type { Actor } from '../../access.ts';
import { neverPruned } from '../../declared/apply.ts';
import { inOrder } from '../../declared/order.ts';
import { McpctlError } from '../../errors.ts';
import type { Applied, ApplyDeps } from './document.ts';
import { refusalOf, type Refusal } from './refusals.ts';
import { forget, keyOf, membersOf } from './sets.ts';

export interface Pruning {
  /** All but `neverPruned`, unless told. */
  kinds?: readonly string[] | undefined;
  /** Where more than half of the set goes: how many that are. */
  confirm?: number | undefined;
}

interface Asked {
  set: string;
  /** What is listed. */
  kept: readonly Applied[];
  actor: Actor;
  asked: Pruning;
  dryRun: boolean;
}

/** @throws McpctlError `prune_refused` where more goes than was said. A dry run is how one learns how much. */
function needConfirmed(going: number, all: number, { asked, dryRun, set }: Asked): void {
  if (dryRun || going * 2 <= all || asked.confirm === going) return;
  throw new McpctlError(
    'prune_refused',
    `This deletes ${going} of the ${all} things of the set '${set}', more than half: confirm that it is ${going} (--yes-prune=${going}).`,
  );
}

/**
 * Deletes what a set once applied and lists no more, of the kinds that may go, what refers to others first.
 * @throws McpctlError `prune_refused`, and with a fault for each that cannot be deleted.
 */
export async function pruned(trx: Knex.Transaction, deps: ApplyDeps, about: Asked): Promise<Applied[]> {
  const { kinds, keepers } = deps;
  const words =
    about.asked.kinds ?? kinds.map(({ word }) => word).filter((word) => !neverPruned.includes(word));
  const all = await membersOf(trx, about.set, new Map(kinds.map(({ word, plural }) => [word, plural])));
  const listed = new Set(about.kept.map(keyOf));
  const going = all.filter((one) => words.includes(one.resource) && !listed.has(keyOf(one)));
  needConfirmed(going.length, all.length, about);
  const things = going.flatMap((one) => {
    const kind = kinds.find(({ word }) => word === one.resource);
    return kind ? [{ kind, ...one }] : [];
  });
  const refusals: Refusal[] = [];
  const items: Applied[] = [];
  for (const at of inOrder(things, kinds).reverse()) {
    const thing = things[at];
    if (!thing) continue;
    const { kind, resource, id, name } = thing;
    try {
      const { of } = await keepers(kind).drop(trx, { id }, about.actor);
      items.push({ resource, id, name, of, outcome: 'pruned', changed: [] });
    } catch (thrown) {
      if (!(thrown instanceof McpctlError)) throw thrown;
      refusals.push({ place: `prune.${resource}/${name}`, error: thrown, about: null });
    }
  }
  if (refusals.length > 0) throw refusalOf(refusals);
  await forget(trx, items);
  return items;
}
