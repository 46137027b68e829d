import type { Knex } from 'knex';
import { z } from 'zod';
import type { Scope } from '../access.ts';
import type { Author, Change } from '../audit/event.ts';
import { McpctlError } from '../errors.ts';
import { record } from './audit/record.ts';
import { MCP_TYPE } from '../mcp/names.ts';
import type { Connection } from './database/connect.ts';
import type { Joiner } from './names/joiner.ts';
import { foldedSql, lockNames } from './names/name-owners.ts';

const poolSchema = z.object({ key: z.string(), ownerId: z.string(), createdAt: z.date() });
type PoolRow = z.infer<typeof poolSchema>;
const poolColumns = Object.keys(poolSchema.shape);

export interface Pools {
  byKey(key: string): Promise<PoolRow | undefined>;
  /** Keys of pools that have an llm, in order. */
  list(query: { scope: Scope; after: string | undefined; limit: number }): Promise<string[]>;
  /** Names of the users whom the owner has let in, in order. */
  allowed(key: string): Promise<string[]>;
  /** The same of many pools. */
  allowedIn(keys: readonly string[]): Promise<ReadonlyMap<string, string[]>>;
  allow(key: string, userId: string, author?: Author): Promise<void>;
  deny(key: string, userId: string, author?: Author): Promise<void>;
  /** Hands the pool over; @throws McpctlError `name_taken`, `forbidden` to whom it is not. */
  give(key: string, to: string, by: Joiner): Promise<void>;
  /** The users whose these pools are. */
  ownersOf(keys: readonly string[]): Promise<ReadonlyMap<string, { id: string; name: string }>>;
}

export function createPools({ db, transaction }: Connection): Pools {
  return {
    async byKey(key) {
      return poolSchema.optional().parse(await db('pools').where({ key }).first<unknown>(poolColumns));
    },
    async list({ scope, after, limit }) {
      const query = db('llms')
        .distinct<{ poolKey: string }[]>('poolKey')
        .whereNot({ type: MCP_TYPE })
        .orderBy('poolKey')
        .limit(limit);
      const { ownerId, orNames, pools, within } = scope;
      if (pools) query.whereIn('poolKey', [...pools]);
      const ofThese = '(pool_key = any(?) or pool_key in (select key from pools where owner_id = ?))';
      if (ownerId !== null) query.whereRaw(ofThese, [[...orNames], ownerId]);
      if (within !== null) query.whereRaw(ofThese, [[...within.names], within.ownerId]);
      if (after !== undefined) query.where('poolKey', '>', after);
      return (await query).map((row) => row.poolKey);
    },
    allowed: async (key) => (await guestsIn(db, [key])).get(key) ?? [],
    allowedIn: (keys) => guestsIn(db, keys),
    allow: (key, userId, author) =>
      transaction((trx) => changeGuest(trx, author, { key, userId, how: 'allowed' })),
    give: (key, to, by) => transaction((trx) => giveTo(trx, key, { to, by })),
    async ownersOf(keys) {
      if (keys.length === 0) return new Map();
      const rows = await db('pools')
        .join('users', 'users.id', 'pools.ownerId')
        .whereIn('key', [...keys])
        .select<{ key: string; id: string; name: string }[]>('key', 'users.id', 'users.name');
      return new Map(rows.map(({ key, ...owner }) => [key, owner]));
    },
    deny: (key, userId, author) =>
      transaction((trx) => changeGuest(trx, author, { key, userId, how: 'denied' })),
  };
}

async function guestsIn(db: Knex, keys: readonly string[]): Promise<Map<string, string[]>> {
  if (keys.length === 0) return new Map();
  const { rows } = await db.raw<{ rows: { key: string; names: string[] }[] }>(
    `select a.pool_key as key, array_agg(u.name order by u.name collate "C") as names
       from pool_allowed a join users u on u.id = a.user_id where a.pool_key = any(:keys) group by 1`,
    { keys: [...keys] },
  );
  return new Map(rows.map(({ key, names }) => [key, names]));
}

async function recordPool(
  trx: Knex.Transaction,
  author: Author | undefined,
  { key, ownerId, change }: { key: string; ownerId: string; change: Change },
): Promise<void> {
  if (author)
    await record(trx, author, {
      verb: 'edit',
      resource: 'pool',
      id: null,
      name: key,
      ownerId,
      changes: [change],
    });
}

const nameOfUser = async (trx: Knex.Transaction, id: string): Promise<string> =>
  (await trx('users').where({ id }).first<{ name: string } | undefined>('name'))?.name ?? '';

interface Guest {
  key: string;
  userId: string;
  how: 'allowed' | 'denied';
}

/** Lets a user in, or out, and tells of it where that was not so already. */
export async function changeGuest(
  trx: Knex.Transaction,
  author: Author | undefined,
  guest: Guest,
): Promise<void> {
  const row = { poolKey: guest.key, userId: guest.userId };
  const query =
    guest.how === 'denied'
      ? trx('poolAllowed').where(row).delete()
      : trx('poolAllowed').insert(row).onConflict(['pool_key', 'user_id']).ignore();
  const changed: unknown[] = await query.returning('userId');
  if (changed.length > 0) await recordGuest(trx, author, guest);
}

/** Who is let in or out sees it too. */
async function recordGuest(
  trx: Knex.Transaction,
  author: Author | undefined,
  { key, userId, how }: Guest,
): Promise<void> {
  if (!author) return;
  const name = await nameOfUser(trx, userId);
  const change: Change = { field: 'allowed', ...(how === 'allowed' ? { to: name } : { from: name }) };
  await recordPool(trx, author, { key, ownerId: userId, change });
}

/**
 * Frees a pool whose last llm was deleted, when its owner or an admin did that: what a guest or the sweep deletes
 * keeps its owner and guests. The key stays its owner's for a while, as every name does.
 */
export async function leavePool(trx: Knex.Transaction, key: string, by: Joiner): Promise<void> {
  await lockNames(trx, [key]);
  await trx.raw(
    `delete from pools where key = :key and (:overrules or owner_id = :userId)
       and not exists (select 1 from llms where pool_key = :key)`,
    { key, overrules: by.overrules, userId: by.userId },
  );
}

/**
 * Gives a pool and its key to another user; an admin may give a key that nobody uses, and so say who may use a
 * well-known name. The former owner stays as a guest while they have an llm in it.
 * @throws McpctlError `forbidden`; `name_taken` when the key is also the name or alias of an llm of somebody else in another pool.
 */
export async function giveTo(
  trx: Knex.Transaction,
  key: string,
  { to, by }: { to: string; by: Joiner },
): Promise<void> {
  await trx.raw(
    `insert into name_owners (name, owner_id, entered_by) values (:key, :to, :userId) on conflict (name) do nothing`,
    { key, to, userId: by.userId },
  );
  await lockNames(trx, [key]);
  const pool = await trx('pools').where({ key }).first<{ ownerId: string } | undefined>('ownerId');
  if (!by.overrules && pool?.ownerId !== by.userId) throw new McpctlError('forbidden');
  const { rows } = await trx.raw<{ rows: { name: string }[] }>(
    `select l.name from names n join llms l on l.id = n.id
      where (n.name = :key or (n.resource = 'alias' and ${foldedSql('n.name')} = :key))
        and l.owner_id <> :to and l.pool_key <> :key`,
    { key, to },
  );
  const agents = await trx('agents').where({ name: key }).whereNot({ ownerId: to }).limit(1).select('id');
  if (agents.length > 0)
    throw new McpctlError('name_taken', `'${key}' is also what an agent of somebody else is called.`);
  const other = rows[0];
  if (other) {
    throw new McpctlError(
      'name_taken',
      `'${key}' is also what the llm '${other.name}' of another pool is called; give that another name first.`,
    );
  }
  await trx('nameOwners').where({ name: key }).update({ ownerId: to, releasedAt: null });
  // However it is written: it is one name.
  await trx.raw(
    `update name_owners w set owner_id = :to where w.owner_id <> :to and ${foldedSql('w.name')} = :key`,
    {
      key,
      to,
    },
  );
  await trx.raw(
    `insert into pool_allowed (pool_key, user_id)
       select key, owner_id from pools where key = :key and owner_id <> :to
         and exists (select 1 from llms l where l.pool_key = key and l.owner_id = pools.owner_id)
       on conflict do nothing`,
    { key, to },
  );
  await trx('pools').insert({ key, ownerId: to }).onConflict('key').merge(['ownerId']);
  await trx('poolAllowed').where({ poolKey: key, userId: to }).delete();
  if (!by.actor || pool?.ownerId === to) return;
  const from = pool ? await nameOfUser(trx, pool.ownerId) : null;
  const change = { field: 'owner', from, to: await nameOfUser(trx, to) };
  await recordPool(trx, by.actor, { key, ownerId: to, change });
}
