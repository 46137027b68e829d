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

/**
 * Trust on first use: of who has one of those servers bound, and of whom it is not written down yet what it had, that is approved
 * which it has now. Nothing of one that has told of nothing yet, and nothing that is too large to be trusted unread.
 */
export async function trust(
  trx: Knex.Transaction,
  { servers, projectId = null }: { servers: readonly string[]; projectId?: string | null },
): Promise<void> {
  if (servers.length === 0) return;
  await trx.raw(
    `with fresh as (
       insert into server_pins (project_id, server)
       select p.id, s.name
       from servers s join projects p on p.servers @> jsonb_build_array(jsonb_build_object('server', s.name))
       where s.name = any(:servers) and s.info is not null and (:projectId::uuid is null or p.id = :projectId)
         and not exists (select 1 from server_pins b where b.project_id = p.id and b.server = s.name)
       on conflict do nothing
       returning project_id, server
     )
     insert into tool_pins (project_id, server, name, hash, definition)
     select f.project_id, f.server, t.name, t.hash, t.definition
     from fresh f join servers s on s.name = f.server join server_tools t on t.server_id = s.id
     where not t.gone and not t.is_too_large`,
    { servers: [...servers], projectId },
  );
}
