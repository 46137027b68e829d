import type { Knex } from 'knex';
import { meansServer } from '../../names/meant.ts';

/** The definition of a tool that is too large to be kept: it is no tool, so that no release lists one. */
export const NOT_KEPT = '{}';

/** Where tools of servers are, what servers have beside them, and all of it; and what projects have approved of each, by its key. */
export const places = {
  tools: { rows: 'server_tools', pins: 'tool_pins', key: ['name'], isPinned: 'true' },
  offers: { rows: 'server_offers', pins: 'offer_pins', key: ['kind', 'name'], isPinned: 'b.has_offers' },
  things: {
    ...{ rows: 'server_things', pins: 'thing_pins', key: ['kind', 'name'] },
    isPinned: `(t.kind = 'tool' or b.has_offers)`,
  },
} as const;
type Of = keyof typeof places;

/** SQL. @param as with its point. */
export const keyIn = (as: string, of: Of): string => places[of].key.map((column) => as + column).join(', ');

/** Those as `t`, of servers `s`, by their keys, with what a project has approved of each. */
export function withPins(db: Knex, projectId: string, of: Of): Knex.QueryBuilder {
  const { rows, pins, key, isPinned } = places[of];
  const isSame = key.map((column) => `a.${column} = t.${column}`).join(' and ');
  return db(`${rows} as t`)
    .join('servers as s', 's.id', 't.serverId')
    .joinRaw(`left join server_pins b on b.project_id = ? and b.server = s.name and ${isPinned}`, [projectId])
    .joinRaw(`left join ${pins} a on a.project_id = b.project_id and a.server = s.name and ${isSame}`)
    .select(key.map((column) => `t.${column}`))
    .select('t.serverId', 't.hash', 'a.hash as approvedHash', db.raw('b.server is not null as is_pinned'));
}

/** Of the definitions that the projects of one user have approved, in bytes: beyond it their hashes alone are kept, and what differs is all of it. */
const MOST_KEPT_BYTES = 64 * 2 ** 20;

/** What the definitions of all may take of Postgres, as it stores them: beyond it every owner has an equal share of that. */
const MOST_STORED_BYTES = 2 ** 31;

interface Most {
  mostBytes?: number | undefined;
  mostStoredBytes?: number | undefined;
}

/** SQL: how many bytes of definitions one owner may have now. What tables take is known without a look at their rows. */
export const roomOfOne = ({
  mostBytes = MOST_KEPT_BYTES,
  mostStoredBytes = MOST_STORED_BYTES,
}: Most = {}): string => `
  case when pg_table_size('tool_pins') + pg_table_size('offer_pins') < ${mostStoredBytes} then ${mostBytes}
    else least(${mostBytes}, ${mostStoredBytes} / (select greatest(1, count(distinct owner_id)) from projects
      where id in (select project_id from server_pins))) end`;

/** Which rows of what `t` is are approved, of the servers in `fresh`. */
interface Kept extends Most {
  /** A question for (project_id, server, approved_by). */
  fresh: string;
  things: string;
}

/**
 * Rows of `tool_pins`, or of `offer_pins`, for what is in `fresh`, and is so of their servers. How much of each owner is kept
 * is counted once for all of them.
 */
export function keepPins(of: 'tools' | 'offers', { fresh, things, ...most }: Kept): string {
  const { rows, pins } = places[of];
  return `
  with fresh as (${fresh}),
  held as (
    select p.owner_id, sum(octet_length(a.definition)) as bytes
    from thing_pins a join projects p on p.id = a.project_id
    where p.owner_id in (select o.owner_id from fresh f join projects o on o.id = f.project_id)
    group by p.owner_id
  ),
  room as materialized (select ${roomOfOne(most)} as bytes)
  insert into ${pins} (project_id, server, ${keyIn('', of)}, hash, definition, approved_by)
  select f.project_id, f.server, ${keyIn('t.', of)}, t.hash,
    case when coalesce(h.bytes, 0)
        + sum(octet_length(t.definition)) over (partition by p.owner_id order by f.project_id, f.server, ${keyIn('t.', of)}) <= (select bytes from room)
      then t.definition else '${NOT_KEPT}' end,
    f.approved_by
  from fresh f join projects p on p.id = f.project_id left join held h on h.owner_id = p.owner_id
    join servers s on s.name = f.server join ${rows} t on t.server_id = s.id and not t.gone and ${things}`;
}

/**
 * Trust on first use: of who has one of those servers bound, and of whom it is not written down yet what it had, that is approved
 * which it has now. Nothing of one that has told of nothing yet, and nothing that is too large to be trusted unread.
 */
export async function trust(
  trx: Knex.Transaction,
  { servers, projectId = null, ...most }: Most & { servers: readonly string[]; projectId?: string | null },
): Promise<void> {
  if (servers.length === 0) return;
  const at = { servers: [...servers], projectId };
  const tools = `
    insert into server_pins (project_id, server)
    select p.id, s.name
    from servers s join projects p on p.servers @> jsonb_build_array(jsonb_build_object('server', s.name))
    where s.name = any(:servers) and s.info is not null and (:projectId::uuid is null or p.id = :projectId)
      and ${meansServer('p.id', 's')}
      and not exists (select 1 from server_pins b where b.project_id = p.id and b.server = s.name)
    on conflict do nothing
    returning project_id, server, null::uuid as approved_by`;
  await trx.raw(keepPins('tools', { fresh: tools, things: 'not t.is_too_large', ...most }), at);
  // A release that knows no pins of these may have written the rest.
  const offers = `
    update server_pins set has_offers = true
    where server = any(:servers) and not has_offers and (:projectId::uuid is null or project_id = :projectId)
      and exists (select 1 from servers s where s.name = server_pins.server and s.info is not null
        and ${meansServer('server_pins.project_id', 's')})
    returning project_id, server, null::uuid as approved_by`;
  await trx.raw(keepPins('offers', { fresh: offers, things: 'true', ...most }), at);
}
