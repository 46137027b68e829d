import type { Knex } from 'knex';
import { z } from 'zod';
import type { Scope } from '../../access.ts';
import type { Author } from '../../audit/event.ts';
import { McpctlError } from '../../errors.ts';
import { holdSchema, type Hold } from '../../llm.ts';
import { storedIdSchema } from '../../names.ts';
import { record } from '../audit/record.ts';
import { endOwnCredential, isOwnCredential } from '../joining/leave.ts';
import type { Connection } from '../database/connect.ts';
import { denyLlms } from './denials.ts';
import { lockRows } from './sessions.ts';

const workerSchema = z.object({
  id: z.string(),
  ownerId: z.string(),
  owner: z.string(),
  token: z.string().nullable(),
  tokenId: z.string().nullable(),
  /** As its worker said it. */
  host: z.string().nullable(),
  transport: z.enum(['redis', 'sse']),
  workerVersion: z.string().nullable(),
  /** The process that registered last. */
  instanceId: z.string().nullable(),
  hold: holdSchema,
  /** Who said so, by the name of then. */
  heldBy: z.string().nullable(),
  heldAt: z.date().nullable(),
  createdAt: z.date(),
  lastHeartbeatAt: z.date(),
});
/** A provider session as people see it. */
export type WorkerRow = z.infer<typeof workerSchema>;

/** A member of a session that is held, and who hears what is said of it. */
const heldSchema = z.object({
  sessionId: z.string(),
  boot: z.string(),
  llmId: z.string(),
  poolKey: z.string(),
});
export type HeldMember = z.infer<typeof heldSchema>;

/** Sessions as people see and govern them; what workers say of themselves is `Sessions`. One that has left is none of these. */
export interface Workers {
  /** By id; at most so many, and no more than what has 1,000 llms together, so that a page is bounded. */
  list(query: { scope: Scope; after?: string | undefined; limit: number }): Promise<{
    items: WorkerRow[];
    more: boolean;
  }>;
  /** By its id, or by its host's name, or eight digits of its id, where that is the only one; undefined: none that may be seen. */
  find(asked: string, scope: Scope): Promise<WorkerRow | undefined>;
  /** Keys of the pools of what these sessions publish. */
  poolsOf(ids: readonly string[]): Promise<string[]>;
  /** What it takes from now on: nothing new, or, with null, whatever comes. Said twice it changes nothing. @returns false: it has left. */
  hold(id: string, hold: Hold | null, author: Author): Promise<boolean>;
  /** Members of all sessions that are held and have not left, by pool. */
  heldMembers(): Promise<HeldMember[]>;
  /**
   * Ends it for good: it registers no more under this id, and a worker's own credential ends with it. Its llms are put out as
   * by `Denials`. @returns false: it has left. @throws McpctlError `forbidden` to another worker's own credential: it ends no token.
   */
  revoke(id: string, author: Author): Promise<boolean>;
}

const MOST_LLMS = 1_000;
/** Of one user's; a worker whose session was forgotten comes back as a new one, if its token lets it. */
const MOST_REVOKED = 100;

const columns = `s.id, s.owner_id as "ownerId", u.name as owner, t.name as token, s.token_id as "tokenId", s.host, s.transport,
  s.worker_version as "workerVersion", s.instance_id as "instanceId", s.hold, s.held_by as "heldBy", s.held_at as "heldAt",
  s.created_at as "createdAt", s.last_heartbeat_at as "lastHeartbeatAt"`;
const tables = `sessions s join users u on u.id = s.owner_id left join tokens t on t.id = s.token_id`;

interface Where {
  sql: string;
  bindings: Record<string, unknown>;
}

/**
 * A scope as SQL; a session is called by its id. For a token that is bound to pools it is there where all that it publishes
 * lies in them, as where it is spoken for (edge/session-of.ts).
 */
function within({ ownerId, orNames, pools, within: letThrough }: Scope): Where {
  const parts = ['s.left_at is null'];
  if (ownerId !== null) parts.push('(s.owner_id = :ownerId or s.id::text = any(:orNames))');
  if (letThrough !== null) parts.push('(s.owner_id = :letOwner or s.id::text = any(:letNames))');
  if (pools !== null)
    parts.push(
      'not exists (select 1 from llms l where l.provider_session_id = s.id and l.pool_key <> all(:pools))',
      'exists (select 1 from llms l where l.provider_session_id = s.id)',
    );
  const bindings = {
    ...(ownerId !== null && { ownerId, orNames: [...orNames] }),
    ...(letThrough !== null && { letOwner: letThrough.ownerId, letNames: [...letThrough.names] }),
    ...(pools !== null && { pools: [...pools] }),
  };
  return { sql: parts.join(' and '), bindings };
}

const rowsOf = async (db: Knex, sql: string, bindings: Record<string, unknown>): Promise<unknown[]> =>
  (await db.raw<{ rows: unknown[] }>(sql, bindings as Record<string, string>)).rows;

/** Behind the session's lock, as a registration and a putting out are; its llms follow by name. */
async function hold(
  trx: Knex.Transaction,
  { id, to, author }: { id: string; to: Hold | null; author: Author },
): Promise<boolean> {
  const [row] = await trx('sessions')
    .where({ id })
    .whereNull('leftAt')
    .forUpdate()
    .select<{ hold: Hold | null; ownerId: string }[]>('hold', 'ownerId');
  if (!row) return false;
  if (row.hold === to) return true;
  const by = author.by?.userName ?? author.userName;
  await trx('sessions')
    .where({ id })
    .update({ hold: to, heldBy: to === null ? null : by, heldAt: to === null ? null : trx.fn.now() });
  const llms = await lockRows(trx, [id], 'wait');
  await trx('llms').whereIn('id', llms).update({ hold: to });
  const changes = [{ field: 'hold', from: row.hold, to }];
  await record(trx, author, {
    ...{ verb: 'edit', resource: 'session', id, name: id, changes },
    ownerId: row.ownerId,
  });
  return true;
}

async function revoke(trx: Knex.Transaction, id: string, author: Author): Promise<boolean> {
  // Before any other lock, as every write of identity takes it.
  await trx.raw('select revision from identity_epoch for update');
  const [row] = await trx('sessions')
    .where({ id })
    .whereNull('leftAt')
    .update({ revokedAt: trx.fn.now(), leftAt: trx.fn.now() })
    .returning<{ ownerId: string; tokenId: string | null }[]>(['ownerId', 'tokenId']);
  if (!row) return false;
  if (row.tokenId !== author.tokenId && (await isOwnCredential(trx, author.tokenId)))
    throw new McpctlError(
      'forbidden',
      'What a machine joined with puts out no other machine: whose worker that is runs mcpctl worker revoke.',
    );
  await endOwnCredential(trx, { tokenId: row.tokenId, author });
  await denyLlms(trx, await lockRows(trx, [id], 'wait'));
  await trx.raw(
    `delete from sessions s where id in (select id from sessions
       where owner_id = :ownerId and revoked_at is not null order by revoked_at desc offset :most)
       and not exists (select 1 from llms where llms.provider_session_id = s.id)`,
    { ownerId: row.ownerId, most: MOST_REVOKED },
  );
  await record(trx, author, {
    ...{ verb: 'delete', resource: 'session', id, name: id },
    ownerId: row.ownerId,
  });
  return true;
}

export function createWorkers({ db, transaction }: Connection): Workers {
  return {
    async list({ scope, after, limit }) {
      const { sql, bindings } = within(scope);
      const counted = `(select count(*) from llms l where l.provider_session_id = s.id)::int as llms`;
      const from = after === undefined ? '' : 'and s.id > :after';
      const inPage = await rowsOf(
        db,
        `select * from (
           select page.*, sum(llms) over (order by id) - llms as before from (
             select ${columns}, ${counted} from ${tables} where ${sql} ${from} order by s.id limit :limit
           ) page
         ) summed where before < ${String(MOST_LLMS)} order by id`,
        { ...bindings, limit: limit + 1, ...(after !== undefined && { after }) },
      );
      const items = workerSchema.array().parse(inPage).slice(0, limit);
      const last = items.at(-1);
      if (last === undefined || inPage.length > limit) return { items, more: inPage.length > limit };
      // Those that had no room on the page.
      const [next] = await rowsOf(db, `select s.id from ${tables} where ${sql} and s.id > :last limit 1`, {
        ...bindings,
        last: last.id,
      });
      return { items, more: next !== undefined };
    },
    async find(asked, scope) {
      const { sql, bindings } = within(scope);
      const by = storedIdSchema.safeParse(asked).success
        ? 's.id = :asked'
        : `(s.host = :asked or (length(:asked) >= 8 and starts_with(s.id::text, :asked)))`;
      const rows = await rowsOf(db, `select ${columns} from ${tables} where ${sql} and ${by} limit 2`, {
        ...bindings,
        asked,
      });
      return rows.length === 1 ? workerSchema.parse(rows[0]) : undefined;
    },
    async poolsOf(ids) {
      const rows = await db('llms')
        .whereIn('providerSessionId', [...ids])
        .whereRaw(`inactive_reason is distinct from 'unpublished'`)
        .distinct<{ key: string }[]>('poolKey as key');
      return rows.map(({ key }) => key);
    },
    hold: (id, to, author) => transaction((trx) => hold(trx, { id, to, author })),
    heldMembers: async () =>
      heldSchema.array().parse(
        await rowsOf(
          db,
          `select s.id as "sessionId", coalesce(s.instance_id, s.id::text) as boot, l.id as "llmId", l.pool_key as "poolKey"
           from (
             select id, pool_key, provider_session_id, hold from llms
             union all select f.llm_id, f.pool_key, h.provider_session_id, h.hold
               from former_members f join llms h on h.id = f.llm_id where f.denied_at is null
           ) l join sessions s on s.id = l.provider_session_id
           where l.hold is not null and s.left_at is null order by l.pool_key, l.id`,
          {},
        ),
      ),
    revoke: (id, author) => transaction((trx) => revoke(trx, id, author)),
  };
}
