import type { Knex } from 'knex';
import { McpctlError } from '../../errors.ts';
import type { RegistryLimits } from './limits.ts';
import { isUnused } from './name-owners.ts';

/** Revoked and expired tokens that are kept for a user to see; older ones go when a new one is made. */
const MOST_ENDED_TOKENS = 192;

/** A user whose row is locked until the end of the transaction: what they have is counted one after the other. */
export interface Counted {
  userId: string;
  /** Who may edit quotas is the operator, who sets the limits. */
  isLimited: boolean;
}

/** Taken before any other lock. It bars no one who only refers to the user. */
export async function lockUser(trx: Knex.Transaction, userId: string): Promise<Counted> {
  const { rows } = await trx.raw<{ rows: { isFree: boolean }[] }>(
    `select user_may(id, 'edit', 'quota', null) as "isFree" from users where id = ? for no key update`,
    [userId],
  );
  return { userId, isLimited: !rows[0]?.isFree };
}

export function refuse(
  what: string,
  most: number,
  { setting, advice }: { setting: string; advice: string },
): never {
  throw new McpctlError(
    'quota_exceeded',
    `You would have more than ${most} ${what}, the most one user may have here; ${advice}, or ask the operator to raise ${setting}.`,
  );
}

async function countOf(trx: Knex.Transaction, sql: string, values: Record<string, unknown>): Promise<number> {
  const { rows } = await trx.raw<{ rows: { count: number }[] }>(sql, values);
  return rows[0]?.count ?? 0;
}

/**
 * Asked last, when the rows are there.
 * @throws McpctlError `quota_exceeded`
 */
export async function checkLlms(trx: Knex.Transaction, user: Counted, limits: RegistryLimits): Promise<void> {
  if (!user.isLimited) return;
  const { userId } = user;
  const { maxUserLlms, maxUserPools } = limits;
  const { rows } = await trx.raw<{ rows: { llms: number; pools: number }[] }>(
    `select (select count(*) from llms where owner_id = :userId)::int as llms,
       (select count(*) from name_owners w join pools p on p.key = w.name
         where w.entered_by = :userId
           and exists (select 1 from llms where llms.pool_key = p.key))::int as pools`,
    { userId },
  );
  const { llms = 0, pools = 0 } = rows[0] ?? {};
  if (llms > maxUserLlms)
    refuse('llms', maxUserLlms, {
      setting: 'MCPCTL_MAX_USER_LLMS',
      advice: 'delete those you no longer need',
    });
  if (pools > maxUserPools)
    refuse('pools', maxUserPools, {
      setting: 'MCPCTL_MAX_USER_POOLS',
      advice: 'put llms together in one poolName',
    });
  await checkNames(trx, user, limits);
}

/** Asked last, by whoever enters names: those that nobody uses any more, beyond what is kept, are given up. */
export async function checkNames(
  trx: Knex.Transaction,
  { userId, isLimited }: Counted,
  { maxUserLlms, maxUserPools }: RegistryLimits,
): Promise<void> {
  if (!isLimited) return;
  const count = `select (select count(*) from name_owners where entered_by = :userId)::int
      - (select count(*) from personalities where owner_id = :userId)::int as count`;
  const over = (await countOf(trx, count, { userId })) - 4 * (maxUserLlms + maxUserPools);
  if (over > 0) await shedNames(trx, userId, over);
}

/** Names that a user had, and nobody uses, are kept for long: so many of them and no more, the last ones. */
async function shedNames(trx: Knex.Transaction, userId: string, over: number): Promise<void> {
  const { rows } = await trx.raw<{ rows: { name: string }[] }>(
    `select name from name_owners w where entered_by = :userId and ${isUnused('w.name')}
      order by released_at nulls last, created_at
      limit :over for update skip locked`,
    { userId, over },
  );
  if (rows.length === 0) return;
  const names = rows.map((row) => row.name);
  await trx('pools').whereIn('key', names).delete();
  await trx('nameOwners').whereIn('name', names).delete();
}

/**
 * Sessions that have left, or were silent for long, and publish nothing make room.
 * @throws McpctlError `quota_exceeded`
 */
export async function checkSessions(
  trx: Knex.Transaction,
  user: Counted,
  { sessionId, limits }: { sessionId: string; limits: RegistryLimits },
): Promise<void> {
  if (!user.isLimited) return;
  const { userId } = user;
  const { maxUserSessions, leaseMs } = limits;
  const count = 'select count(*)::int as count from sessions where owner_id = :userId';
  if ((await countOf(trx, count, { userId })) <= maxUserSessions) return;
  await trx.raw(
    `delete from sessions where id in (
       select id from sessions s where owner_id = :userId and id <> :sessionId and revoked_at is null
         and (left_at is not null or last_heartbeat_at < now() - :leaseMs * interval '1 millisecond')
         and not exists (select 1 from llms where llms.provider_session_id = s.id)
         and (left_at is not null or not exists (select 1 from agent_publishers p where p.session_id = s.id))
       order by id for update skip locked)`,
    { userId, sessionId, leaseMs },
  );
  const sessions = await countOf(trx, `${count} and left_at is null`, { userId });
  if (sessions > maxUserSessions)
    refuse('provider sessions', maxUserSessions, {
      setting: 'MCPCTL_MAX_USER_SESSIONS',
      advice: 'stop workers you no longer need',
    });
}

/**
 * Room for one more token of this user.
 * @throws McpctlError `quota_exceeded`
 */
export async function checkTokens(
  trx: Knex.Transaction,
  user: Counted,
  { maxUserTokens }: RegistryLimits,
): Promise<void> {
  if (!user.isLimited) return;
  const { userId } = user;
  const ended = '(revoked_at is not null or coalesce(expires_at < now(), false))';
  await trx.raw(
    `delete from tokens where id in (
       select id from tokens where user_id = :userId and ${ended} order by id desc offset :kept)`,
    { userId, kept: MOST_ENDED_TOKENS },
  );
  const tokens = await countOf(
    trx,
    `select count(*)::int as count from tokens where user_id = :userId and not ${ended}`,
    { userId },
  );
  if (tokens > maxUserTokens)
    refuse('tokens', maxUserTokens, {
      setting: 'MCPCTL_MAX_USER_TOKENS',
      advice: 'revoke those you no longer need',
    });
}
