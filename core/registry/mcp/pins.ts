import type { Knex } from 'knex';

/** The definition of a tool that is too large to be kept: it is no tool, so that no release lists one. */
export const NOT_KEPT = '{}';

/** Tools of servers as `t`, of servers `s`, with what a project has approved of each. */
export const withPins = (db: Knex, projectId: string): Knex.QueryBuilder =>
  db('serverTools as t')
    .join('servers as s', 's.id', 't.serverId')
    .joinRaw('left join server_pins b on b.project_id = ? and b.server = s.name', [projectId])
    .joinRaw('left join tool_pins a on a.project_id = b.project_id and a.server = s.name and a.name = t.name')
    .select('t.serverId', 't.name', 't.hash', 'a.hash as approvedHash')
    .select(db.raw('b.server is not null as is_pinned'));

/** Of the definitions that the projects of one user have approved, in bytes: beyond it their hashes alone are kept, and what differs is all of it. */
const MOST_KEPT_BYTES = 64 * 2 ** 20;

/**
 * Rows of `tool_pins` for what is in `fresh` (project_id, server, approved_by) and `t`, tools of that server. How much of each owner is kept
 * is counted once for all of them.
 */
export const keepPins = (fresh: string, tools: string, mostBytes = MOST_KEPT_BYTES): string => `
  with fresh as (${fresh}),
  held as (
    select p.owner_id, sum(octet_length(a.definition)) as bytes
    from tool_pins a join projects p on p.id = a.project_id
    where p.owner_id in (select o.owner_id from fresh f join projects o on o.id = f.project_id)
    group by p.owner_id
  )
  insert into tool_pins (project_id, server, name, hash, definition, approved_by)
  select f.project_id, f.server, t.name, t.hash,
    case when coalesce(h.bytes, 0)
        + sum(octet_length(t.definition)) over (partition by p.owner_id order by f.project_id, f.server, t.name) <= ${mostBytes}
      then t.definition else '${NOT_KEPT}' end,
    f.approved_by
  from fresh f join projects p on p.id = f.project_id left join held h on h.owner_id = p.owner_id
    join servers s on s.name = f.server join server_tools t on t.server_id = s.id and not t.gone and ${tools}`;

/**
 * Trust on first use: of who has one of those servers bound, and of whom it is not written down yet what it had, that is approved
 * which it has now. Nothing of one that has told of nothing yet, and nothing that is too large to be trusted unread.
 */
export async function trust(
  trx: Knex.Transaction,
  {
    servers,
    projectId = null,
    mostBytes,
  }: { servers: readonly string[]; projectId?: string | null; mostBytes?: number },
): Promise<void> {
  if (servers.length === 0) return;
  const fresh = `
    insert into server_pins (project_id, server)
    select p.id, s.name
    from servers s join projects p on p.servers @> jsonb_build_array(jsonb_build_object('server', s.name))
    where s.name = any(:servers) and s.info is not null and (:projectId::uuid is null or p.id = :projectId)
      and not exists (select 1 from server_pins b where b.project_id = p.id and b.server = s.name)
    on conflict do nothing
    returning project_id, server, null::uuid as approved_by`;
  await trx.raw(keepPins(fresh, 'not t.is_too_large', mostBytes), { servers: [...servers], projectId });
}
