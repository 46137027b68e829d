import { createHash, randomBytes } from 'node:crypto';
import { v7 } from 'uuid';
import type { Actor } from '../access.ts';
import { McpctlError } from '../errors.ts';
import type { Connection } from './connect.ts';
import { sqlFaultOf } from './faults.ts';
import type { RegistryLimits } from './limits.ts';
import { checkTokens, lockUser } from './quotas.ts';

export interface TokenRow {
  id: string;
  name: string;
  userId: string;
  user: string;
  binding: Actor['binding'];
  pools: string[] | null;
  createdAt: Date;
  expiresAt: Date | null;
  revokedAt: Date | null;
}

interface NewToken {
  userId: string;
  name: string;
  pools: readonly string[] | null;
  expiresInDays: number | null;
  /** Who makes it. A token made for oneself lives no longer than the one that made it. */
  createdBy: { userId: string; tokenId: string } | null;
}

export interface Tokens {
  /**
   * @returns the row and the text, which is shown this once and kept nowhere.
   * @throws McpctlError `name_taken` when the user has an unrevoked token of that name, `quota_exceeded`.
   */
  create(token: NewToken): Promise<{ row: TokenRow; text: string }>;
  /** Makes a token of a text that is known already; does nothing when it is there, revoked ones too. */
  ensure(token: NewToken, text: string): Promise<void>;
  /** Oldest first, revoked ones too. `userId` null: everybody's. */
  list(query: { userId: string | null; after: string | undefined; limit: number }): Promise<TokenRow[]>;
  byId(id: string): Promise<TokenRow | undefined>;
  /** The unrevoked token of that name. */
  byName(userId: string, name: string): Promise<TokenRow | undefined>;
  /** Revoked for good; a second time changes nothing. */
  revoke(id: string): Promise<TokenRow | undefined>;
  /** Who a token's text speaks for; undefined when unknown, expired or revoked. */
  actorOf(text: string): Promise<Actor | undefined>;
  /** The same for a token that was shown before, by its id. */
  actorOfId(id: string): Promise<Actor | undefined>;
}

/** SHA-256 suffices: the text is 256 random bits, so there is nothing to guess. */
export function hashToken(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

const columns = [
  'tokens.id',
  'tokens.name',
  'tokens.userId',
  'users.name as user',
  'users.binding',
  'tokens.pools',
  'tokens.createdAt',
  'tokens.expiresAt',
  'tokens.revokedAt',
];

/** @returns the new id; undefined when a token of that text is there. */
async function insert(db: Connection['db'], token: NewToken, text: string): Promise<string | undefined> {
  const { rows: made } = await db.raw<{ rows: { id: string }[] }>(
    `insert into tokens (id, user_id, name, hash, pools, created_by, expires_at)
     values (:id, :userId, :name, :hash, :pools, :createdBy, least(
       now() + cast(:days as int) * interval '1 day',
       (select expires_at from tokens where id = :parent and user_id = :userId)))
     on conflict (hash) do nothing returning id`,
    {
      id: v7(),
      userId: token.userId,
      name: token.name,
      hash: hashToken(text),
      pools: token.pools === null ? null : [...token.pools],
      createdBy: token.createdBy?.userId ?? null,
      days: token.expiresInDays,
      parent: token.createdBy?.tokenId ?? null,
    },
  );
  return made[0]?.id;
}

export function createTokens({ db, transaction }: Connection, limits: RegistryLimits): Tokens {
  const rows = () => db('tokens').join('users', 'users.id', 'tokens.userId').select<TokenRow[]>(columns);
  const actorWhere = (where: Readonly<Record<string, string>>) =>
    db('tokens')
      .join('users', 'users.id', 'tokens.userId')
      .where(where)
      .whereNull('tokens.revokedAt')
      .whereRaw('(tokens.expires_at is null or tokens.expires_at > now())')
      .first<Actor | undefined>({
        userId: 'users.id',
        userName: 'users.name',
        tokenId: 'tokens.id',
        tokenName: 'tokens.name',
        binding: 'users.binding',
        pools: 'tokens.pools',
      });
  const byId = async (id: string): Promise<TokenRow | undefined> => (await rows().where('tokens.id', id))[0];

  return {
    byId,
    async create(token) {
      const text = `mcpctl_${randomBytes(32).toString('base64url')}`;
      try {
        const id = await transaction(async (trx) => {
          const user = await lockUser(trx, token.userId);
          const made = await insert(trx, token, text);
          await checkTokens(trx, user, limits);
          return made;
        });
        const row = id === undefined ? undefined : await byId(id);
        if (row) return { row, text };
      } catch (thrown) {
        if (sqlFaultOf(thrown)?.constraint !== 'tokens_name') throw thrown;
        throw new McpctlError(
          'name_taken',
          `There is a token named '${token.name}' already; revoke it first.`,
        );
      }
      throw new McpctlError('internal');
    },
    async ensure(token, text) {
      await insert(db, token, text);
    },
    async list({ userId, after, limit }) {
      const query = rows().orderBy('tokens.id').limit(limit);
      if (userId !== null) query.where('tokens.userId', userId);
      if (after !== undefined) query.where('tokens.id', '>', after);
      return query;
    },
    async byName(userId, name) {
      return (await rows().where({ userId, 'tokens.name': name }).whereNull('tokens.revokedAt'))[0];
    },
    async revoke(id) {
      await db('tokens').where({ id }).whereNull('revokedAt').update({ revokedAt: db.fn.now() });
      return byId(id);
    },
    actorOf: (text) => actorWhere({ 'tokens.hash': hashToken(text) }),
    actorOfId: (id) => actorWhere({ 'tokens.id': id }),
  };
}
