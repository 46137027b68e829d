import type { Knex } from 'knex';
import { z } from 'zod';
import type { LlmRow } from '../../llm.ts';
import type { Author } from '../../audit/event.ts';
import { record } from '../audit/record.ts';
import type { Connection } from '../database/connect.ts';
import { pinnedAmong } from '../llms/pins.ts';
import { parseLlms } from '../llms/row.ts';
import { deleteRows } from '../llms/write.ts';
import type { RegistryLimits } from '../names/limits.ts';
import { register, type Published, type Registration } from './register.ts';

const sessionSchema = z.object({
  id: z.string(),
  ownerId: z.string(),
  /** The token that it was registered with; null where an older edge wrote none. */
  tokenId: z.string().nullable(),
  instanceId: z.string().nullable(),
  saysInstance: z.boolean(),
  workerVersion: z.string().nullable(),
  transport: z.enum(['redis', 'sse']),
  createdAt: z.date(),
  lastHeartbeatAt: z.date(),
  /** Set by goodbye: it must register again. */
  leftAt: z.date().nullable(),
});
export type SessionRow = z.infer<typeof sessionSchema>;
const sessionColumns = Object.keys(sessionSchema.shape);

export interface Sessions {
  register(registration: Registration): Promise<Published>;
  byId(id: string): Promise<SessionRow | undefined>;
  /** Writes down signs of life, but for sessions that somebody holds just now: they live. Gives rows that were `publisher_gone` back what they last were. */
  beat(ids: readonly string[]): Promise<LlmRow[]>;
  /** The same for one session, once whoever holds it or its rows is done: what is read after it is so. */
  revive(id: string): Promise<void>;
  /** Goodbye: its rows are `publisher_gone` at once; a second time changes nothing. @returns all its rows. */
  leave(id: string, author?: Author): Promise<LlmRow[]>;
  /** The sweep: rows of sessions that lapsed become `publisher_gone`. @returns the rows that changed. */
  markGone(ids: readonly string[]): Promise<LlmRow[]>;
  /** Sessions whose rows do not yet say that they are gone: what the sweep has to ask Redis about. */
  published(): Promise<string[]>;
  /** Ids of virtual rows whose publisher has been gone for so long, the longest first. */
  longGone(goneMs: number, limit: number): Promise<string[]>;
  /**
   * Deletes those of these rows of which that is still so, past those that somebody holds; without ids all that there are
   * now, and sessions without rows.
   */
  deleteGone(goneMs: number, ids?: readonly string[]): Promise<LlmRow[]>;
  /** Deletes sessions without rows that gave no sign of life for so long. */
  deleteIdle(goneMs: number, limit: number): Promise<void>;
  /** Sessions that have not left and gave a sign of life within `ms`, the latest first. */
  seenWithin(ms: number, limit: number): Promise<SessionRow[]>;
  /** Those of `ids` that gave a sign of life within `ms`, by the database's clock, and have not left. */
  beatenWithin(ids: readonly string[], ms: number): Promise<Set<string>>;
}

/** What is done about rows that another transaction holds. */
export type Held = 'wait' | 'pass by';

/** The llms of sessions, locked in the order in which register locks them (register.ts), so that neither waits for the other. */
export async function lockRows(
  trx: Knex.Transaction,
  ids: readonly string[],
  whenHeld: Held,
): Promise<string[]> {
  const query = trx('llms')
    .whereIn('providerSessionId', [...ids])
    .orderBy('name')
    .forUpdate();
  if (whenHeld === 'pass by') query.skipLocked();
  const rows = await query.select<{ id: string }[]>('id');
  return rows.map((row) => row.id);
}

async function gone(trx: Knex.Transaction, sessionIds: readonly string[], whenHeld: Held): Promise<LlmRow[]> {
  const locked = await lockRows(trx, sessionIds, whenHeld);
  if (locked.length === 0) return [];
  return parseLlms(
    await trx('llms')
      .whereIn('id', locked)
      .whereRaw(`(inactive_reason is null or inactive_reason not in ('publisher_gone', 'denied'))`)
      .update({
        status: 'inactive',
        inactiveReason: 'publisher_gone',
        inactiveSince: trx.fn.now(),
        lastStatus: trx.ref('status'),
        lastReason: trx.ref('inactive_reason'),
      })
      .returning<unknown[]>('*'),
  );
}

async function beat(trx: Knex.Transaction, ids: readonly string[], whenHeld: Held): Promise<LlmRow[]> {
  const sorted = [...new Set(ids)].sort();
  const query = trx('sessions').whereIn('id', sorted).whereNull('leftAt').orderBy('id').forUpdate();
  if (whenHeld === 'pass by') query.skipLocked();
  const live = (await query.select<{ id: string }[]>('id')).map((row) => row.id);
  if (live.length === 0) return [];
  await trx('sessions').whereIn('id', live).update({ lastHeartbeatAt: trx.fn.now() });
  const rows = await lockRows(trx, live, whenHeld);
  if (rows.length === 0) return [];
  await trx('llms').whereIn('id', rows).update({ lastHeartbeatAt: trx.fn.now() });
  return parseLlms(
    await trx('llms')
      .whereIn('id', rows)
      .where({ inactiveReason: 'publisher_gone' })
      .update({
        status: trx.raw(`coalesce(last_status, 'active')`),
        inactiveReason: trx.ref('last_reason'),
        inactiveSince: trx.raw(`case when last_status = 'inactive' then now() end`),
        lastStatus: null,
        lastReason: null,
      })
      .returning<unknown[]>('*'),
  );
}

async function leave(trx: Knex.Transaction, id: string, author: Author | undefined): Promise<LlmRow[]> {
  const [left] = await trx('sessions')
    .where({ id })
    .whereNull('leftAt')
    .update({ leftAt: trx.fn.now() })
    .returning<{ ownerId: string }[]>('ownerId');
  if (left) await record(trx, author, { verb: 'delete', resource: 'session', id, name: id, ...left });
  await gone(trx, [id], 'wait');
  return parseLlms(await trx('llms').where({ providerSessionId: id }).select());
}

const MOST_GONE = 500;
const before = (db: Knex, goneMs: number): Knex.Raw =>
  db.raw(`now() - :goneMs * interval '1 millisecond'`, { goneMs });

async function deleteGone(
  { transaction }: Connection,
  ids: readonly string[],
  goneMs: number,
): Promise<LlmRow[]> {
  return await transaction(async (trx) => {
    const old = parseLlms(
      await trx('llms')
        .whereIn('id', [...ids])
        .where({ kind: 'virtual' })
        .whereIn('inactiveReason', ['publisher_gone', 'denied'])
        .where('inactiveSince', '<', before(trx, goneMs))
        .orderBy('name')
        .forUpdate()
        .skipLocked(),
    );
    const pinned = await pinnedAmong(
      trx,
      old.map(({ id }) => id),
    );
    const unused = old.filter(({ id }) => !pinned.has(id));
    await deleteRows(trx, unused);
    return unused;
  });
}

/** Apart from the rows, because everybody else locks a session before its rows. A locked one is alive. */
async function deleteIdle({ transaction }: Connection, goneMs: number, limit: number): Promise<void> {
  await transaction((trx) =>
    trx('sessions')
      .whereIn(
        'id',
        trx('sessions')
          .select('id')
          .where('lastHeartbeatAt', '<', before(trx, goneMs))
          // Else its worker would be back as a new one.
          .whereNull('revokedAt')
          .whereNotExists(trx('llms').select(trx.raw('1')).whereRaw('llms.provider_session_id = sessions.id'))
          .orderBy('lastHeartbeatAt')
          .limit(limit)
          .forUpdate()
          .skipLocked(),
      )
      .delete(),
  );
}

export function createSessions(connection: Connection, limits: RegistryLimits): Sessions {
  const { db, transaction } = connection;
  const longGone = async (goneMs: number, limit: number): Promise<string[]> => {
    const rows = await db('llms')
      .where({ kind: 'virtual' })
      .whereIn('inactiveReason', ['publisher_gone', 'denied'])
      .where('inactiveSince', '<', before(db, goneMs))
      .whereNotExists(db('agents').select(db.raw('1')).whereRaw('agents.llm_id = llms.id'))
      .orderBy('inactiveSince')
      .limit(limit)
      .select<{ id: string }[]>('id');
    return rows.map(({ id }) => id);
  };
  return {
    register: (registration) => register(connection, registration, limits),
    async byId(id) {
      const row: unknown = await db('sessions').where({ id }).first<unknown>(sessionColumns);
      return sessionSchema.optional().parse(row);
    },
    beat: (ids) => (ids.length === 0 ? Promise.resolve([]) : transaction((trx) => beat(trx, ids, 'pass by'))),
    revive: async (id) => void (await transaction((trx) => beat(trx, [id], 'wait'))),
    leave: (id, author) => transaction((trx) => leave(trx, id, author)),
    markGone: (ids) =>
      ids.length === 0 ? Promise.resolve([]) : transaction((trx) => gone(trx, ids, 'pass by')),
    async published() {
      const rows = await db('llms')
        .whereNotNull('providerSessionId')
        .whereRaw(`(inactive_reason is null or inactive_reason not in ('publisher_gone', 'denied'))`)
        .distinct<{ id: string }[]>('providerSessionId as id');
      return rows.map((row) => row.id);
    },
    longGone,
    async deleteGone(goneMs, ids) {
      const rows = await deleteGone(connection, ids ?? (await longGone(goneMs, MOST_GONE)), goneMs);
      if (!ids) await deleteIdle(connection, goneMs, MOST_GONE);
      return rows;
    },
    deleteIdle: (goneMs, limit) => deleteIdle(connection, goneMs, limit),
    async seenWithin(ms, limit) {
      const rows = await db('sessions')
        .whereNull('leftAt')
        .whereRaw(`last_heartbeat_at > now() - ? * interval '1 millisecond'`, [ms])
        .orderBy('lastHeartbeatAt', 'desc')
        .limit(limit)
        .select<unknown[]>(sessionColumns);
      return sessionSchema.array().parse(rows);
    },
    async beatenWithin(ids, ms) {
      if (ids.length === 0) return new Set();
      const rows = await db('sessions')
        .whereIn('id', [...ids])
        .whereNull('leftAt')
        .whereRaw(`last_heartbeat_at > now() - ? * interval '1 millisecond'`, [ms])
        .select<{ id: string }[]>('id');
      return new Set(rows.map((row) => row.id));
    },
  };
}
