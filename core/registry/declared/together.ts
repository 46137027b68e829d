import type { Knex } from 'knex';
import type { Actor } from '../../access.ts';
import type { Kind } from '../../declared/kinds.ts';
import { McpctlError } from '../../errors.ts';
import { sqlFaultOf } from '../database/faults.ts';
import { lockUser } from '../names/quotas.ts';
import type { Values } from '../resources/rows.ts';
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

/** What is not there yet is made many at a time: each by itself costs a dozen questions. */

/** So many documents are looked at together. */
const MOST_TOGETHER = 250;
/** And so long are they in all, as lines: one statement carries them. */
const MOST_CHARS = 1_048_576;

/** Documents of one kind that stand behind each other, as many as are made together. */
export function* inBatches<T extends { kind: Pick<Kind, 'word'>; values: Values }>(
  all: Iterable<T>,
): Generator<T[]> {
  let batch: T[] = [];
  let chars = 0;
  for (const each of all) {
    const length = JSON.stringify(each.values).length;
    const isFull = batch.length === MOST_TOGETHER || chars + length > MOST_CHARS;
    if (batch.length > 0 && (isFull || batch[0]?.kind !== each.kind)) {
      yield batch;
      [batch, chars] = [[], 0];
    }
    batch.push(each);
    chars += length;
  }
  if (batch.length > 0) yield batch;
}

/** Work in a transaction within another. @returns null where something was in its way, and nothing of it is left. */
export async function orNothing<T>(
  trx: Knex.Transaction,
  work: (inner: Knex.Transaction) => Promise<T>,
): Promise<T | null> {
  try {
    return await trx.transaction(work);
  } catch (thrown) {
    const isTold = thrown instanceof McpctlError && thrown.code !== 'internal';
    if (isTold || sqlFaultOf(thrown)?.sqlState === '23505') return null;
    throw thrown;
  }
}
