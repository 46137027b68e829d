import { expect } from 'chai';
import type { Connection } from '../../core/registry/database/connect.ts';
import type { Duty, DutyDeps } from '../../scheduler/duties/duty.ts';
import { createDuties } from '../../scheduler/duties/index.ts';

/** A duty of the scheduler by its name, and what stands in its way. */
export const dutyOf = (deps: DutyDeps, name: string): Duty =>
  createDuties(deps).find((one) => one.name === name) ?? expect.fail(`no duty ${name}`);

export const runDuty = (deps: DutyDeps, name: string): Promise<number> =>
  dutyOf(deps, name).run(new AbortController().signal);

/** While somebody holds this row. */
export const holdingRow = <T>(
  { db }: Pick<Connection, 'db'>,
  [table, id]: readonly [string, string],
  work: () => Promise<T>,
): Promise<T> =>
  db.transaction(async (trx) => {
    await trx(table).where({ id }).forUpdate().select('id');
    return await work();
  });

/** From now on nothing of this row can be written. */
export const refuseWrites = (
  { db }: Pick<Connection, 'db'>,
  [table, id]: readonly [string, string],
  writes: 'update' | 'update or delete' = 'update',
) =>
  db.raw(
    `create or replace function refuse() returns trigger language plpgsql as $$ begin raise 'poison'; end $$;
     create trigger refuse before ${writes} on ${table} for each row when (old.id = '${id}') execute function refuse()`,
  );
