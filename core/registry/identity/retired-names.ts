import type { Knex } from 'knex';
import { can, canToAll, type Actor } from '../../access.ts';
import { McpctlError } from '../../errors.ts';

/** Nobody takes up, with a name, what is said of who had it: for so long only who rules over such things makes it anew. */
const RETIRED_DAYS = 30;
/** Of one kind that one user had: beyond it those that were given up first are free, as other names are. */
const MOST_OF_ONE = 256;
/** That are over, and go with the next one. */
const MOST_SWEPT = 100;

interface Retired {
  resource: 'user' | 'group' | 'secret' | 'agent';
  name: string;
}

/**
 * Whose it was takes it up again at once, where that was kept. @param id of what is to be called so: it may have been before.
 * @throws McpctlError `name_retired`
 */
export async function needNotRetired(
  trx: Knex.Transaction,
  { resource, name, id }: Retired & { id: string },
  actor: Actor,
): Promise<void> {
  if (canToAll(actor, 'create', resource) && can(actor, 'edit', { resource: 'rbac' })) return;
  const { rows } = await trx.raw<{ rows: unknown[] }>(
    `select 1 from retired_names where resource = :resource and name = :name and until > now()
       and former_owner_id is distinct from :userId and renamed_id is distinct from :id`,
    { resource, name, id, userId: actor.userId },
  );
  if (rows.length > 0) throw new McpctlError('name_retired');
}

interface Retiring extends Retired {
  formerOwnerId: string | null;
  /** What is called otherwise from now on. */
  renamedId?: string | null;
}

/** @param formerOwnerId null: nobody takes it up before others may. */
export async function retireName(
  trx: Knex.Transaction,
  { resource, name, formerOwnerId, renamedId = null }: Retiring,
): Promise<void> {
  await trx.raw(
    `insert into retired_names (resource, name, until, former_owner_id, renamed_id)
       values (:resource, :name, now() + :days * interval '1 day', :formerOwnerId, :renamedId)
     on conflict (resource, name) do update set until = excluded.until, former_owner_id = excluded.former_owner_id,
       renamed_id = excluded.renamed_id`,
    { resource, name, days: RETIRED_DAYS, formerOwnerId, renamedId },
  );
  await trx.raw(
    `delete from retired_names where (resource, name) in (
       select resource, name from retired_names where until <= now() limit :swept for update skip locked)
     or (resource, name) in (
       select resource, name from retired_names where resource = :resource and former_owner_id = :formerOwnerId
       order by until desc, name offset :most for update skip locked)`,
    { resource, formerOwnerId, swept: MOST_SWEPT, most: MOST_OF_ONE },
  );
}

/** What is called otherwise now, of those names that were given up lately: by the former name. */
export async function namesNow(
  db: Knex,
  kind: 'user' | 'group',
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (names.length === 0) return new Map();
  const { rows } = await db.raw<{ rows: { name: string; now: string }[] }>(
    `select r.name, k.name as now from retired_names r join ?? k on k.id = r.renamed_id
     where r.resource = ? and r.name = any(?) and r.until > now() and k.name <> r.name`,
    [`${kind}s`, kind, [...names]],
  );
  return new Map(rows.map(({ name, now }) => [name, now]));
}
