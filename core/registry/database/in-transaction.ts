import type { Knex } from 'knex';
import type { Connection } from './connect.ts';

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
