import { hash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Knex } from 'knex';
import { v7 } from 'uuid';
import { z } from 'zod';
import { bindings, type Actor, type Scope } from '../../access.ts';
import { full, type FilterWords } from '../../access/filter.ts';
import type { Author } from '../../audit/event.ts';
import { McpctlError } from '../../errors.ts';
import { record } from '../audit/record.ts';
import type { Connection } from '../database/connect.ts';
import { sqlFaultOf } from '../database/faults.ts';
import { filterWords, readNamed } from '../identity/actors.ts';
import { createGrantedByEpoch } from '../identity/rights.ts';
import type { RegistryLimits } from '../names/limits.ts';
import { checkTokens, lockUser } from '../names/quotas.ts';
import { needMayMint, type Holder } from './mint.ts';

const tokenSchema = z.object({
  id: z.string(),
  name: z.string(),
  prefix: z.string().nullable(),
  userId: z.string(),
  user: z.string(),
  binding: z.enum(bindings),
  pools: z.array(z.string()).nullable(),
  preset: z.string(),
  bindings: z.unknown(),
  operations: z.unknown(),
  parentId: z.string().nullable(),
  createdAt: z.date(),
  lastUsedAt: z.date().nullable(),
  expiresAt: z.date().nullable(),
  revokedAt: z.date().nullable(),
});
export interface TokenRow extends Omit<z.infer<typeof tokenSchema>, 'preset' | 'bindings' | 'operations'> {
  filter: FilterWords;
}

function rowOf(row: unknown): TokenRow {
  const { preset, bindings: of, operations, ...token } = tokenSchema.parse(row);
  return { ...token, filter: filterWords({ preset, bindings: of, operations }) };
}
const parseToken = ([row]: readonly unknown[]): TokenRow | undefined =>
  row === undefined ? undefined : rowOf(row);

interface Wanted {
  name: string;
  pools: readonly string[] | null;
  /** Everything, unless told. */
  filter?: FilterWords;
  expiresInDays: number | null;
  /** A worker's own credential: it ends with the session that it publishes as. */
  ofWorker?: boolean;
}

interface NewToken extends Wanted {
  userId: string;
  /** Who makes it, with which token: the new one lives no longer than that, whoever it is for, and ends with it. */
  createdBy: { userId: string; tokenId: string } | null;
  author?: Author;
}

interface Minted extends Wanted {
  holder: Holder;
  filter: FilterWords;
  createdBy: { userId: string; tokenId: string };
  author?: Author;
  /** What must come true with it, or it is not made: in its transaction, behind the turn of identity. */
  also?: (trx: Knex.Transaction) => Promise<void>;
}

export interface Tokens {
  /**
   * Whether its maker may is not asked. @returns the row and the text, which is shown this once and kept nowhere.
   * @throws McpctlError `name_taken` when the user has an unrevoked token of that name, `quota_exceeded`.
   */
  create(token: NewToken): Promise<{ row: TokenRow; text: string }>;
  /** The same, if its maker may: that is asked in the transaction. @throws McpctlError `forbidden`, `escalation` besides. */
  mint(token: Minted): Promise<{ row: TokenRow; text: string }>;
  /** Whether there is one of that text, revoked ones too. */
  isKnown(text: string): Promise<boolean>;
  /** Makes a token of a text that is known already; does nothing when it is there, revoked ones too. */
  ensure(token: NewToken, text: string): Promise<void>;
  /** Oldest first, revoked ones too. */
  list(query: { scope: Scope; after: string | undefined; limit: number }): Promise<TokenRow[]>;
  byId(id: string): Promise<TokenRow | undefined>;
  /** The unrevoked token of that name. */
  byName(userId: string, name: string): Promise<TokenRow | undefined>;
  /**
   * Revoked for good, with all that were made with it, and with those, unless they are kept; a second time changes nothing.
   */
  revoke(id: string, how?: { keepChildren?: boolean; author?: Author }): Promise<TokenRow | undefined>;
  /** Writes down that these are used now: to the minute, once in each, whoever says it how often. Past those that somebody holds. */
  used(ids: readonly string[]): Promise<void>;
  /** Who a token's text speaks for; undefined when unknown, expired or revoked. */
  actorOf(text: string): Promise<Actor | undefined>;
  /** The same for a token that was shown before, by its id. */
  actorOfId(id: string): Promise<Actor | undefined>;
}

/** SHA-256 suffices: the text is 256 random bits, so there is nothing to guess. */
export function hashToken(text: string): string {
  return hash('sha256', text);
}

/** A name of a token that says where it is, and is no other's. @param hash of what it was asked for with */
export function tokenNameOf(machine: string, hash: string): string {
  const word = machine.toLowerCase().replace(/[^a-z0-9._-]+/g, '-');
  const name = /^[a-z0-9][a-z0-9._-]*/.exec(word.replace(/^[^a-z0-9]+/, ''))?.[0] ?? 'device';
  return `${name.slice(0, 48)}-${hash.slice(0, 8)}`;
}

/** A worker's ends with a checksum, so that who looks for leaks knows one from a word. */
function newText(ofWorker: boolean): string {
  const random = randomBytes(32).toString('base64url');
  return ofWorker ? `mcpw_${random}${crc32(random).toString(36).padStart(7, '0')}` : `mcpctl_${random}`;
}

/** What people know it by: 24 of its 256 random bits. Of a text that others made nobody knows how much its beginning tells. */
const prefixOf = (text: string): string => text.slice(0, text.indexOf('_') + 5);

const columns = [
  'tokens.id',
  'tokens.name',
  'tokens.prefix',
  'tokens.userId',
  'users.name as user',
  'users.binding',
  'tokens.pools',
  'tokens.preset',
  'tokens.bindings',
  'tokens.operations',
  'tokens.parentId',
  'tokens.createdAt',
  'tokens.lastUsedAt',
  'tokens.expiresAt',
  'tokens.revokedAt',
];

/** Whoever revokes the parent waits until the child is there to be revoked with it, or the child is not made. */
async function holdParent(trx: Knex.Transaction, { createdBy }: NewToken): Promise<void> {
  if (createdBy === null) return;
  const parent = trx('tokens').where({ id: createdBy.tokenId }).whereNull('revokedAt').forShare();
  if ((await parent.first<{ id: string } | undefined>('id')) === undefined)
    throw new McpctlError('unauthenticated');
}

/** All of a user who is deleted, with what was made with them. */
export async function revokeAllOf(trx: Knex.Transaction, userId: string): Promise<void> {
  const tokens = await trx('tokens').where({ userId }).whereNull('revokedAt').select<{ id: string }[]>('id');
  for (const { id } of tokens) await revokeFamily(trx, id);
}

/** Until none is found: one that was being made meanwhile is seen by the next look. @returns how many. */
export async function revokeFamily(trx: Knex.Transaction, id: string): Promise<number> {
  let all = 0;
  for (let revoked = -1; revoked !== 0; all += revoked) {
    const { rowCount } = await trx.raw<{ rowCount: number }>(revokeSql, { id });
    revoked = rowCount;
  }
  return all;
}

async function revoke(
  trx: Knex.Transaction,
  { id, name, userId: ownerId }: TokenRow,
  { keepChildren = false, author }: { keepChildren?: boolean; author?: Author },
): Promise<void> {
  // Before the rows of tokens, as every write of identity takes it.
  await trx.raw('select revision from identity_epoch for update');
  const alone = trx('tokens').where({ id, revokedAt: null }).update({ revokedAt: trx.fn.now() });
  const revoked = keepChildren ? await alone : await revokeFamily(trx, id);
  if (revoked === 0) return;
  await record(trx, author, { verb: 'delete', resource: 'token', id, name, ownerId });
}

const usedSql = `
  update tokens set last_used_at = due.minute
  from (
    select id, date_trunc('minute', now()) as minute from tokens
    where id = any(:ids) and (last_used_at is null or last_used_at < date_trunc('minute', now()))
    order by id for no key update skip locked
  ) due
  where tokens.id = due.id`;

const revokeSql = `
  with recursive family as (
    select id from tokens where id = :id
    union select tokens.id from tokens join family on tokens.parent_id = family.id
  )
  update tokens set revoked_at = now() where revoked_at is null and id in (select id from family)`;

/** @returns the new id; undefined when a token of that text is there. */
async function insert(
  db: Connection['db'],
  token: NewToken,
  { text, prefix }: { text: string; prefix: string | null },
): Promise<string | undefined> {
  const { preset, bindings: of, operations } = token.filter ?? full;
  const { rows: made } = await db.raw<{ rows: { id: string }[] }>(
    `insert into tokens (id, user_id, name, prefix, hash, pools, preset, bindings, operations, created_by, expires_at, parent_id, of_worker)
     select :id, :userId, :name, :prefix, :hash, :pools, :preset, cast(:bindings as jsonb), cast(:operations as jsonb), :createdBy, least(
       now() + cast(:days as int) * interval '1 day', parent.expires_at), parent.id, :ofWorker
     from (select 1) one left join tokens parent on parent.id = :parent
     on conflict (hash) do nothing returning id`,
    {
      id: v7(),
      userId: token.userId,
      name: token.name,
      prefix,
      hash: hashToken(text),
      pools: token.pools === null ? null : [...token.pools],
      preset,
      bindings: JSON.stringify(
        of.map(({ name, ...grant }) => ({ ...grant, ...(name !== null && { name }) })),
      ),
      operations: JSON.stringify(operations),
      createdBy: token.createdBy?.userId ?? null,
      days: token.expiresInDays,
      parent: token.createdBy?.tokenId ?? null,
      ofWorker: token.ofWorker ?? false,
    },
  );
  return made[0]?.id;
}

/** The hash is told of no more than the text. */
async function recordMinted(trx: Knex.Transaction, token: NewToken, id: string): Promise<void> {
  const { author, name, userId, pools, expiresInDays, filter } = token;
  const changes = [
    { field: 'preset', to: filter?.preset ?? null },
    { field: 'pools', to: pools },
    { field: 'expiresInDays', to: expiresInDays },
  ];
  await record(trx, author, { verb: 'create', resource: 'token', id, name, ownerId: userId, changes });
}

const taken = (name: string): string => `There is a token named '${name}' already; revoke it first.`;

/** Made in one transaction, whose it is told in it. */
function makerOf(
  { transaction }: Connection,
  { limits, byId }: { limits: RegistryLimits; byId: Tokens['byId'] },
) {
  return async (
    token: Omit<NewToken, 'userId'>,
    holderIn: (trx: Knex.Transaction) => Promise<string>,
  ): Promise<{ row: TokenRow; text: string }> => {
    const text = newText(token.ofWorker ?? false);
    try {
      const id = await transaction(async (trx) => {
        const made = { ...token, userId: await holderIn(trx) };
        const user = await lockUser(trx, made.userId);
        await holdParent(trx, made);
        const inserted = await insert(trx, made, { text, prefix: prefixOf(text) });
        await checkTokens(trx, user, limits);
        if (inserted !== undefined) await recordMinted(trx, made, inserted);
        return inserted;
      });
      const row = id === undefined ? undefined : await byId(id);
      if (row) return { row, text };
    } catch (thrown) {
      if (sqlFaultOf(thrown)?.constraint !== 'tokens_name') throw thrown;
      throw new McpctlError('name_taken', taken(token.name));
    }
    throw new McpctlError('internal');
  };
}

export function createTokens(connection: Connection, limits: RegistryLimits): Tokens {
  const { db, transaction } = connection;
  const rows = () => db('tokens').join('users', 'users.id', 'tokens.userId').select<unknown[]>(columns);
  const grantedAt = createGrantedByEpoch(db);
  const actorWhere = async (where: Readonly<Record<string, string>>): Promise<Actor | undefined> => {
    const named = await readNamed(db, where);
    if (!named) return undefined;
    const { epoch, ...actor } = named;
    return { ...actor, granted: await grantedAt(actor.userId, epoch) };
  };
  const byId = async (id: string): Promise<TokenRow | undefined> =>
    parseToken(await rows().where('tokens.id', id));

  const make = makerOf(connection, { limits, byId });
  return {
    byId,
    create: ({ userId, ...token }) => make(token, () => Promise.resolve(userId)),
    mint: ({ holder, also, ...token }) =>
      make(token, async (trx) => {
        const by = token.author ?? token.createdBy;
        const userId = await needMayMint(trx, by, { ...holder, filter: token.filter });
        await also?.(trx);
        return userId;
      }),
    isKnown: async (text) => {
      const [row] = await db('tokens')
        .where({ hash: hashToken(text) })
        .select<{ id: string }[]>('id');
      return row !== undefined;
    },
    ensure: async (token, text) => void (await insert(db, token, { text, prefix: null })),
    async list({ scope, after, limit }) {
      const query = rows().orderBy('tokens.id').limit(limit);
      if (scope.ownerId !== null) query.where('tokens.userId', scope.ownerId);
      if (scope.tokenId !== null) query.where('tokens.id', scope.tokenId);
      if (after !== undefined) query.where('tokens.id', '>', after);
      if (scope.within !== null) query.where('tokens.userId', scope.within.ownerId);
      return ((await query) as unknown[]).map(rowOf);
    },
    async byName(userId, name) {
      return parseToken(await rows().where({ userId, 'tokens.name': name }).whereNull('tokens.revokedAt'));
    },
    async revoke(id, how = {}) {
      const row = await byId(id);
      if (row) await transaction((trx) => revoke(trx, row, how));
      return byId(id);
    },
    used: async (ids) => void (await db.raw(usedSql, { ids: [...ids] })),
    actorOf: (text) => actorWhere({ 'tokens.hash': hashToken(text) }),
    actorOfId: (id) => actorWhere({ 'tokens.id': id }),
  };
}
