import type { Knex } from 'knex';
import type { Actor } from '../../access.ts';
import type { Kind } from '../../declared/kinds.ts';
import type { Connection } from '../database/connect.ts';
import { lockUser } from '../names/quotas.ts';
import type { Keepers } from './keepers.ts';

/** Ends the transaction of a dry run. */
class Undone extends Error {
  readonly result: unknown;
  constructor(result: unknown) {
    super();
    this.result = result;
  }
}

/** One transaction, which a dry run undoes once all was done in it. @param bytes how much is written, where that is much. */
export async function inTransaction<T>(
  { transaction }: Pick<Connection, 'transaction'>,
  { dryRun, bytes = 0 }: { dryRun: boolean; bytes?: number },
  work: (trx: Knex.Transaction) => Promise<T>,
): Promise<T> {
  try {
    return await transaction(async (trx) => {
      const result = await work(trx);
      if (dryRun) throw new Undone(result);
      return result;
    }, bytes);
  } catch (thrown) {
    if (!(thrown instanceof Undone)) throw thrown;
    return thrown.result as T;
  }
}

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
