import type { Knex } from 'knex';
import type { Actor } from '../../access.ts';
import type { Kind } from '../../declared/kinds.ts';
import { lockUser } from '../names/quotas.ts';
import type { Keepers } from './keepers.ts';

/** Work behind every turn that writing these kinds takes; at its end they refuse what must be true of all that was written. */
export async function behindTurns<T>(
  trx: Knex.Transaction,
  { keepers, kinds, actor }: { keepers: Keepers; kinds: ReadonlySet<Kind>; actor: Actor },
  work: (actor: Actor) => Promise<T>,
): Promise<T> {
  let by = actor;
  for (const kind of kinds) by = await keepers(kind).enter(trx, by);
  await lockUser(trx, by.userId); // of two at once, one finds what the other has made
  const result = await work(by);
  for (const kind of kinds) await keepers(kind).leave(trx);
  return result;
}
