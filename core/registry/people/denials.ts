import type { Knex } from 'knex';
import type { Connection } from '../database/connect.ts';
import { IS_THERE, standsFor, unentitledIn } from '../entitled.ts';
import { denyFormer, UNENTITLED_FORMER, type Candidate } from '../llms/former-members.ts';
import type { Held } from './sessions.ts';

/** Llms of one provider session that may not be there any more; their rows say so already. */
export interface Denied {
  sessionId: string;
  /** The process that registered last: it, or the relay of its stream, hears the session's control channel. */
  boot: string;
  members: { llmId: string; poolKey: string }[];
  /** Nothing of the session is left: it has to register again, if it may. */
  isOver: boolean;
}

/**
 * Who may not be there any more (decision 0015). Postgres alone decides, under the same locks as a registration, so that
 * one that came in between with a good token stays. What Redis and the workers are told is core/flow/put-out.ts.
 */
export interface Denials {
  /**
   * Rows of sessions whose user is disabled, or is not granted any more to publish, whose token was revoked, has expired, or is not bound to their pool any more, and of guests whom the
   * pool's owner does not let in any more, become `inactive: denied`. @returns what changed, by session.
   */
  denyUnentitled(): Promise<Denied[]>;
  /** Sessions that have such rows. */
  unentitled(): Promise<string[]>;
  /** The same for these alone, past what somebody holds: a registration is under way, and is looked at the next time. */
  denyUnentitledOf(sessionIds: readonly string[]): Promise<Denied[]>;
  /** The same for rows that somebody who may says are to go: all of a user's in a pool, or one llm. */
  denyRows(which: { poolKey: string; ownerId: string } | { llmId: string }): Promise<Denied[]>;
  /** What was denied of one session, however long ago. */
  deniedOf(sessionId: string): Promise<Denied[]>;
  /** What was denied within so many milliseconds, for whoever finishes what another process began. */
  deniedWithin(ms: number): Promise<Denied[]>;
  /** Which of these tokens may still be used, and for which pools (null = every pool). */
  goodTokens(ids: readonly string[]): Promise<ReadonlyMap<string, readonly string[] | null>>;
  /** Notes the tokens of sessions that an edge of the last release registered. */
  fillTokens(tokenOf: ReadonlyMap<string, string>): Promise<void>;
}

const UNENTITLED = `
  select l.id, l.provider_session_id as "sessionId", null as "leftPool"
  from llms l ${standsFor('l.pool_key')} and ${unentitledIn('l.pool_key')}
  union all ${UNENTITLED_FORMER}`;

const findUnentitled = async (on: Knex): Promise<Candidate[]> =>
  (await on.raw<{ rows: Candidate[] }>(UNENTITLED)).rows;

type Find = (db: Knex) => Promise<Candidate[]>;

/** Sessions in the order of register.ts, then rows by name; asked again behind the locks. */
async function deny({ db, transaction }: Connection, find: Find, whenHeld: Held = 'wait'): Promise<Denied[]> {
  const lock = whenHeld === 'wait' ? 'for update' : 'for update skip locked';
  const first = await find(db);
  if (first.length === 0) return [];
  return await transaction(async (trx) => {
    const asked = [...new Set(first.map(({ sessionId }) => sessionId))].sort();
    const idsOf = async (sql: string, ids: string[]): Promise<string[]> => {
      const { rows } = await trx.raw<{ rows: { id: string }[] }>(`${sql} ${lock}`, { ids });
      return rows.map(({ id }) => id);
    };
    const sessionIds = await idsOf('select id from sessions where id = any(:ids) order by id', asked);
    const still = (await find(trx)).filter(({ sessionId }) => sessionIds.includes(sessionId));
    const stillIds = still.map(({ id }) => id);
    const lockedIds = await idsOf('select id from llms where id = any(:ids) order by name', stillIds);
    const locked = still.filter(({ id }) => lockedIds.includes(id));
    if (locked.length === 0) return [];
    const ids = locked.flatMap(({ id, leftPool }) => (leftPool === null ? [id] : []));
    await denyLlms(trx, ids);
    await denyFormer(trx, locked);
    await trx.raw(
      `update sessions s set left_at = now() where s.id = any(:sessionIds) and s.left_at is null
         and exists (select 1 from llms d where d.provider_session_id = s.id and d.id = any(:ids))
         and not exists (select 1 from llms l where l.provider_session_id = s.id and ${IS_THERE})`,
      { sessionIds, ids },
    );
    return await readDenied(trx, 'l.id = any(:lockedIds)', { lockedIds });
  });
}

/** Of these llms, whose rows are locked, those that are there are `inactive: denied` from now on. */
export async function denyLlms(trx: Knex.Transaction, ids: readonly string[]): Promise<void> {
  await trx.raw(
    `update llms l set status = 'inactive', inactive_reason = 'denied', inactive_since = now(),
       last_status = null, last_reason = null
     where l.id = any(:ids) and ${IS_THERE}`,
    { ids: [...ids] },
  );
}

interface DeniedRow {
  sessionId: string;
  boot: string;
  members: Denied['members'];
  isOver: boolean;
}

async function readDenied(
  db: Knex,
  where: string,
  bindings: Record<string, string | number | string[]>,
): Promise<Denied[]> {
  const { rows } = await db.raw<{ rows: DeniedRow[] }>(
    `select s.id as "sessionId", coalesce(s.instance_id, s.id::text) as boot, s.left_at is not null as "isOver",
       json_agg(json_build_object('llmId', l.id, 'poolKey', l.pool_key) order by l.id) as members
     from (
       select id, pool_key, provider_session_id, inactive_since as denied_at from llms where inactive_reason = 'denied'
       union all
       select g.id, f.pool_key, g.provider_session_id, greatest(f.denied_at, case when g.inactive_reason = 'denied' then g.inactive_since end)
         from former_members f join llms g on g.id = f.llm_id where f.denied_at is not null or g.inactive_reason = 'denied'
     ) l join sessions s on s.id = l.provider_session_id
     where ${where} group by s.id order by s.id`,
    bindings,
  );
  return rows;
}

export function createDenials(connection: Connection): Denials {
  const { db } = connection;
  return {
    denyUnentitled: () => deny(connection, findUnentitled),
    unentitled: async () => [...new Set((await findUnentitled(db)).map(({ sessionId }) => sessionId))],
    denyUnentitledOf: (sessionIds) =>
      deny(
        connection,
        async (on) => (await findUnentitled(on)).filter(({ sessionId }) => sessionIds.includes(sessionId)),
        'pass by',
      ),
    denyRows: (which) =>
      deny(connection, async (on) => {
        const where = 'llmId' in which ? 'l.id = :llmId' : 'm.pool_key = :poolKey and l.owner_id = :ownerId';
        const { rows } = await on.raw<{ rows: Candidate[] }>(
          `select l.id, l.provider_session_id as "sessionId", m.left_pool as "leftPool"
           from llms l join (
             select id as llm_id, pool_key, null as left_pool from llms
             union all select llm_id, pool_key, pool_key from former_members where denied_at is null) m on m.llm_id = l.id
           where l.kind = 'virtual' and l.provider_session_id is not null and ${IS_THERE} and ${where}`,
          { ...which },
        );
        return rows;
      }),
    deniedOf: (sessionId) => readDenied(db, 's.id = :sessionId', { sessionId }),
    deniedWithin: (ms) => readDenied(db, `l.denied_at > now() - :ms * interval '1 millisecond'`, { ms }),
    async goodTokens(ids) {
      const { rows } = await db.raw<{ rows: { id: string; pools: string[] | null }[] }>(
        `select t.id, t.pools from tokens t join users u on u.id = t.user_id
         where t.id = any(:ids) and t.revoked_at is null and u.enabled
           and (t.expires_at is null or t.expires_at > now())`,
        { ids: [...ids] },
      );
      return new Map(rows.map(({ id, pools }) => [id, pools]));
    },
    async fillTokens(tokenOf) {
      if (tokenOf.size === 0) return;
      await db.raw(
        `update sessions s set token_id = v.token_id
         from unnest(cast(:ids as uuid[]), cast(:tokens as uuid[])) as v(id, token_id)
         where s.id = v.id and s.token_id is null`,
        { ids: [...tokenOf.keys()], tokens: [...tokenOf.values()] },
      );
    },
  };
}
