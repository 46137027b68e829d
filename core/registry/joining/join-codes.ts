import { createHash, randomBytes } from 'node:crypto';
import type { Knex } from 'knex';
import { z } from 'zod';
import { can, type Actor, type Scope } from '../../access.ts';
import {
  JOIN,
  joinCodeFrom,
  madeJoinCodeSchema,
  MOST_LISTED_CODES,
  workerFilter,
} from '../../access/join-code.ts';
import type { Author, Origin } from '../../audit/event.ts';
import { McpctlError } from '../../errors.ts';
import { record } from '../audit/record.ts';
import type { Connection } from '../database/connect.ts';
import { lockUser } from '../names/quotas.ts';
import { needMayMint, needMayPublish } from '../people/mint.ts';
import { tokenNameOf, type TokenRow, type Tokens } from '../people/tokens.ts';
import { userCalled } from '../people/users-there.ts';

/** At a time; it is asked for more until there are none. */
const MOST_SWEPT = 1_000;

interface Invite {
  actor: Actor;
  pools: readonly string[];
  name: string | undefined;
  /** Whose the worker is to be; undefined: the actor's own. */
  user: string | undefined;
}

interface Invited {
  /** As `typedJoinCode` makes it; kept nowhere. */
  code: string;
  user: string;
  expiresAt: Date;
  /** The credential ends with the token that made the code. */
  credentialEndsAt: Date | null;
}

/** Codes that machines join with. */
export interface JoinCodes {
  /**
   * @throws McpctlError `forbidden`, `escalation` to who may make no such token, or publish in such a pool; `pool_not_yours`,
   * `quota_exceeded` with twenty that are good still.
   */
  invite(asked: Invite): Promise<Invited>;
  /**
   * Once, whoever else comes at the same time. The credential is made with the token that made the code, as it is now.
   * @param code as `typedJoinCode` makes it.
   * @throws McpctlError `join_code_used`, `join_code_expired`, `join_code_unknown`, and what making a token throws: the code is
   * good still then.
   */
  exchange(asked: {
    code: string;
    machine: string;
    origin: Origin;
  }): Promise<{ row: TokenRow; text: string; host: string | null }>;
  /** Those of the scope, as tokens of their makers are in it: newest first, at most `MOST_LISTED_CODES`. */
  list(scope: Scope): Promise<MadeCode[]>;
  byId(id: string): Promise<(MadeCode & { ownerId: string; tokenId: string }) | undefined>;
  /** From now on it is over. @throws McpctlError `join_code_used`; one that is over already stays so. */
  withdraw(id: string, author: Author): Promise<void>;
  /** Deletes those that are long over. @returns how many. */
  sweep(): Promise<number>;
}

const madeSchema = madeJoinCodeSchema.extend({
  createdAt: z.date(),
  expiresAt: z.date(),
  usedAt: z.date().nullable(),
  ownerId: z.string(),
  tokenId: z.string(),
});
export type MadeCode = Omit<z.infer<typeof madeSchema>, 'ownerId' | 'tokenId'>;

const codeSchema = z.object({
  hash: z.string(),
  tokenId: z.string(),
  holderId: z.string(),
  holder: z.string(),
  name: z.string().nullable(),
  pools: z.array(z.string()),
  expiresAt: z.date(),
  usedAt: z.date().nullable(),
  usedBy: z.string().nullable(),
  isOver: z.boolean(),
});
type JoinCode = z.infer<typeof codeSchema>;

const hashOf = (code: string): string => createHash('sha256').update(`join ${code}`).digest('hex');
const minuteOf = (at: Date): string => `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
const another = 'make another with "mcpctl worker invite"';

/** @throws McpctlError `pool_not_yours`: said now, rather than at the machine that has joined. */
async function needOpenPools(
  trx: Knex.Transaction,
  { holderId, byId, pools }: { holderId: string; byId: string; pools: readonly string[] },
): Promise<void> {
  const { rows } = await trx.raw<{ rows: { key: string }[] }>(
    `select p.key from pools p where p.key = any(:pools) and p.owner_id <> :holderId and p.owner_id <> :byId
       and not user_may(:holderId, 'edit', 'pool', p.key) and not user_may(:holderId, 'create', 'pool', p.key)
       and not user_may(:byId, 'edit', 'pool', p.key)
       and not exists (select 1 from pool_allowed a where a.pool_key = p.key and a.user_id = :holderId)
     order by p.key limit 1`,
    { holderId, byId, pools: [...pools] },
  );
  const [closed] = rows;
  if (closed)
    throw new McpctlError(
      'pool_not_yours',
      `The pool '${closed.key}' is another's, who lets them in with: mcpctl pool allow ${closed.key} USER.`,
    );
}

async function checkOpen(trx: Knex.Transaction, ownerId: string): Promise<void> {
  const { rows } = await trx.raw<{ rows: { open: number }[] }>(
    `select count(*)::int as open from join_codes where owner_id = :ownerId and used_at is null and expires_at > now()`,
    { ownerId },
  );
  if ((rows[0]?.open ?? 0) < JOIN.mostOpen) return;
  const message = `${String(JOIN.mostOpen)} join codes of yours are good still: use them, or wait until they are over.`;
  throw new McpctlError('quota_exceeded', message, { retryAfterS: 60 });
}

async function invite(trx: Knex.Transaction, { actor, pools, name, user }: Invite): Promise<Invited> {
  const holderId = await needMayMint(trx, actor, { user, binding: undefined, filter: workerFilter });
  needMayPublish(actor, pools);
  await needOpenPools(trx, { holderId, byId: actor.userId, pools });
  await lockUser(trx, actor.userId);
  await checkOpen(trx, actor.userId);
  const code = joinCodeFrom(randomBytes(12));
  const { rows } = await trx.raw<{ rows: Omit<Invited, 'code'>[] }>(
    `insert into join_codes (hash, owner_id, token_id, holder_id, name, pools, expires_at)
       values (:hash, :ownerId, :tokenId, :holderId, :name, :pools, now() + :lifeMs * interval '1 millisecond')
     returning expires_at as "expiresAt", (select name from users where id = holder_id) as user,
       (select expires_at from tokens where id = token_id) as "credentialEndsAt"`,
    {
      ...{ hash: hashOf(code), ownerId: actor.userId, tokenId: actor.tokenId, holderId },
      ...{ name: name ?? null, pools: [...pools], lifeMs: JOIN.lifeMs },
    },
  );
  const [made] = rows;
  if (!made) throw new McpctlError('internal');
  const changes = [{ field: 'pools', to: pools }];
  const what = { verb: 'create', resource: 'join-code', id: null, name: name ?? null } as const;
  await record(trx, actor, { ...what, ownerId: holderId, changes });
  return { code, ...made };
}

async function find(db: Knex, hash: string): Promise<JoinCode> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `select c.hash, c.token_id as "tokenId", c.holder_id as "holderId", u.name as holder, c.name, c.pools, c.expires_at as "expiresAt",
       c.used_at as "usedAt", c.used_by as "usedBy", c.expires_at <= now() as "isOver"
     from join_codes c join users u on u.id = c.holder_id where c.hash = :hash`,
    { hash },
  );
  if (rows.length === 0)
    throw new McpctlError(
      'join_code_unknown',
      `The code is unknown here: it was mistyped, or is another server's; ${another}.`,
    );
  return codeSchema.parse(rows[0]);
}

/** @throws McpctlError `join_code_used` */
function needUnused({ usedAt, usedBy }: Pick<JoinCode, 'usedAt' | 'usedBy'>): void {
  if (usedAt === null) return;
  throw new McpctlError(
    'join_code_used',
    `The code was used at ${minuteOf(usedAt)} by '${usedBy ?? 'a machine'}'; if that was not you, revoke that worker, and ${another}.`,
  );
}

/** @throws McpctlError `join_code_used`, `join_code_expired` */
function needGood({ usedAt, usedBy, isOver, expiresAt }: JoinCode): void {
  needUnused({ usedAt, usedBy });
  if (isOver)
    throw new McpctlError('join_code_expired', `The code expired at ${minuteOf(expiresAt)}; ${another}.`);
}

/**
 * A name that was given up is nobody's, or somebody else's by now: who makes a token for it would make a user.
 * @throws McpctlError `join_code_expired`
 */
async function needHolder(db: Knex, { holderId, holder }: JoinCode): Promise<void> {
  const [user] = await userCalled(db, holder).where({ id: holderId }).select<{ id: string }[]>('id');
  if (!user)
    throw new McpctlError('join_code_expired', `Whoever the code was for is not here any more; ${another}.`);
}

const idOf = 'left(join_codes.hash, 12)';

/** Of each what is to be seen, and whose it is. */
const made = (db: Knex) =>
  db('joinCodes')
    .join('users as holder', 'holder.id', 'joinCodes.holderId')
    .join('users as owner', 'owner.id', 'joinCodes.ownerId')
    .select({ name: 'joinCodes.name', user: 'holder.name', madeBy: 'owner.name' })
    .select(
      ['pools', 'createdAt', 'expiresAt', 'usedAt', 'usedBy', 'ownerId', 'tokenId'].map(
        (column) => `joinCodes.${column}`,
      ),
    )
    .select(
      db.raw(
        `${idOf} as id, case when join_codes.used_at is not null then 'used' when join_codes.expires_at > now() then 'good' else 'over' end as state`,
      ),
    );

async function withdraw(trx: Knex.Transaction, id: string, author: Author): Promise<void> {
  const [row] = await trx('joinCodes')
    .whereRaw(`${idOf} = ?`, [id])
    .forUpdate()
    .select<Pick<JoinCode, 'hash' | 'name' | 'usedAt' | 'usedBy'>[]>();
  if (!row) throw new McpctlError('join_code_unknown', 'There is no such code.');
  needUnused(row);
  const { hash } = row;
  const ended = trx('joinCodes').where({ hash }).whereRaw('expires_at > now()');
  const [code] = await ended
    .update({ expiresAt: trx.fn.now() })
    .returning<{ holderId: string }[]>('holderId');
  if (code)
    await record(trx, author, {
      ...{ verb: 'delete', resource: 'join-code', id: null, name: row.name },
      ownerId: code.holderId,
    });
}

export function createJoinCodes({ db, transaction }: Connection, tokens: Tokens): JoinCodes {
  return {
    invite: (asked) => transaction((trx) => invite(trx, asked)),
    async list({ ownerId, tokenId, within }) {
      const query = made(db).orderBy('joinCodes.createdAt', 'desc').limit(MOST_LISTED_CODES);
      for (const userId of [ownerId, within?.ownerId ?? null])
        if (userId !== null) query.where('joinCodes.ownerId', userId);
      if (tokenId !== null) query.where('joinCodes.tokenId', tokenId);
      return madeSchema.array().parse(await query);
    },
    async byId(id) {
      const rows: unknown[] = await made(db).whereRaw(`${idOf} = ?`, [id]).limit(1);
      return rows.length === 0 ? undefined : madeSchema.parse(rows[0]);
    },
    withdraw: (id, author) => transaction((trx) => withdraw(trx, id, author)),
    async exchange({ code, machine, origin }) {
      const row = await find(db, hashOf(code));
      needGood(row);
      await needHolder(db, row);
      const inviting = await tokens.actorOfId(row.tokenId);
      const refused = inviting === undefined;
      if (
        refused ||
        row.pools.some((poolKey) => !can(inviting, 'create', { resource: 'session', target: { poolKey } }))
      )
        throw new McpctlError(
          'join_code_expired',
          `Whoever made the code may not invite any more; ${another}.`,
        );
      const made = await tokens.mint({
        name: row.name ?? tokenNameOf(machine, row.hash),
        pools: row.pools,
        filter: workerFilter,
        ofWorker: true,
        expiresInDays: null,
        holder: { user: row.holder, binding: undefined },
        createdBy: inviting,
        author: { ...inviting, origin },
        async also(trx) {
          const { hash } = row;
          await needHolder(trx, row);
          const now = { usedAt: trx.fn.now(), usedBy: machine };
          const mine = trx('joinCodes')
            .where({ hash, usedAt: null })
            .whereRaw('expires_at > now()')
            .update(now);
          if ((await mine) === 0) needGood({ ...(await find(trx, hash)), isOver: true });
        },
      });
      return { ...made, host: row.name };
    },
    sweep: () => sweep(db),
  };
}

async function sweep(db: Knex): Promise<number> {
  const { rowCount } = await db.raw<{ rowCount: number }>(
    `delete from join_codes where hash = any(array(
       select hash from join_codes where expires_at < now() - :keptMs * interval '1 millisecond'
       limit :limit for update skip locked))`,
    { keptMs: JOIN.keptMs, limit: MOST_SWEPT },
  );
  return rowCount;
}
