import type { Knex } from 'knex';
import { can, type Actor } from '../../access.ts';
import { poolDocumentSchema } from '../../declared/kinds.ts';
import { McpctlError, type Fault } from '../../errors.ts';
import { joinerOf } from '../names/joiner.ts';
import { changeGuest, giveTo } from '../pools.ts';
import type { Keeper } from './keeper.ts';
import { usersCalled } from '../people/users-there.ts';

/** The pool, locked; undefined: nobody has entered that key. @throws McpctlError `pool_not_found`, `forbidden` */
async function lockedPool(trx: Knex.Transaction, key: string, actor: Actor): Promise<string | undefined> {
  const pool = await trx('pools')
    .where({ key })
    .forUpdate()
    .first<{ ownerId: string } | undefined>('ownerId');
  const target = { name: key, poolKey: key, ...(pool && { ownerId: pool.ownerId }) };
  if (can(actor, 'edit', { resource: 'pool', target })) return pool?.ownerId;
  if (pool && can(actor, 'view', { resource: 'pool', target }))
    throw new McpctlError('forbidden', `Only the owner of the pool '${key}' and admins may do this.`);
  throw new McpctlError(
    'pool_not_found',
    `There is no pool '${key}' of yours; it is there with its first llm.`,
  );
}

async function guestsOf(trx: Knex.Transaction, key: string): Promise<Map<string, string>> {
  const rows = await trx('poolAllowed')
    .join('users', 'users.id', 'poolAllowed.userId')
    .where({ poolKey: key })
    .select<{ id: string; name: string }[]>('users.id', 'users.name');
  return new Map(rows.map(({ id, name }) => [name, id]));
}

async function guestsCalled(trx: Knex.Transaction, names: readonly string[]): Promise<Map<string, string>> {
  const rows = await usersCalled(trx, names).select<{ id: string; name: string }[]>('id', 'name');
  const ids = new Map(rows.map(({ id, name }) => [name, id]));
  const details = names.flatMap((name, at): Fault[] =>
    ids.has(name) ? [] : [{ path: `allowed.${at}`, message: `there is no user named '${name}'` }],
  );
  if (details.length > 0) throw new McpctlError('invalid_request', undefined, { details });
  return ids;
}

/** Lets in who is named, and out who is not. @returns whether anybody came or went. */
async function setGuests(
  trx: Knex.Transaction,
  key: string,
  { names, ownerId, actor }: { names: readonly string[]; ownerId: string | undefined; actor: Actor },
): Promise<boolean> {
  const [now, wanted] = [await guestsOf(trx, key), await guestsCalled(trx, names)];
  // Whose it is needs nobody to let them in.
  const coming = [...wanted].filter(([name, id]) => !now.has(name) && id !== ownerId);
  const leaving = [...now].filter(([name]) => !wanted.has(name));
  for (const [, userId] of coming) await changeGuest(trx, actor, { key, userId, how: 'allowed' });
  for (const [, userId] of leaving) await changeGuest(trx, actor, { key, userId, how: 'denied' });
  return coming.length + leaving.length > 0;
}

/** Who may publish into pools. A pool has no revision, and nothing of it is deleted but its guests. */
export const poolKeeper: Keeper = {
  enter: async (_trx, actor) => actor,
  leave: async () => undefined,
  async put(trx, values, { actor, as = {} }) {
    const { poolKey: key, allowed } = poolDocumentSchema.parse(values);
    const named = { id: key, name: key };
    let ownerId = await lockedPool(trx, key, actor);
    const created = ownerId === undefined;
    if (created) {
      ownerId = as.ownerId ?? actor.userId;
      await giveTo(trx, key, { to: ownerId, by: joinerOf(actor, key) });
    }
    const isOther = allowed !== undefined && (await setGuests(trx, key, { names: allowed, ownerId, actor }));
    return { ...named, created, changed: isOther ? ['allowed'] : [] };
  },
  async drop(trx, which, actor) {
    const key = 'id' in which ? which.id : poolDocumentSchema.parse(which.values).poolKey;
    const ownerId = await lockedPool(trx, key, actor);
    if (ownerId === undefined) throw new McpctlError('pool_not_found');
    await setGuests(trx, key, { names: [], ownerId, actor });
    return { id: key, name: key };
  },
};
