import type { Knex } from 'knex';
import { can, type Actor } from '../../../access.ts';
import { McpctlError } from '../../../errors.ts';
import { record } from '../../audit/record.ts';
import { keyIn, NOT_KEPT, places, roomOfOne } from './pins.ts';

interface ProjectRow {
  id: string;
  name: string;
  ownerId: string;
}

/**
 * A project that was just made holds the servers that it shares with another to what that one has approved of them, and to nothing that
 * came since. @param to its id. @throws McpctlError `project_not_found` where the actor may not see the other.
 */
export async function copyApprovals(
  trx: Knex.Transaction,
  { of, to, actor }: { of: string; to: string; actor: Actor },
): Promise<void> {
  const columns = ['id', 'name', 'ownerId'] as const;
  const from = await trx('projects')
    .where({ name: of })
    .first<ProjectRow | undefined>(...columns);
  // Of itself it would have none, and trust whatever comes next.
  if (!from || from.id === to || !can(actor, 'view', { resource: 'project', target: from }))
    throw new McpctlError(
      'project_not_found',
      `There is no project '${of}' whose approvals could be copied.`,
    );
  const made = await trx('projects')
    .where({ id: to })
    .first<ProjectRow>(...columns);
  const ids = { from: from.id, to };
  // What it has trusted as it was made is what there is now.
  await trx.raw(
    `delete from server_pins n using server_pins b
     where n.project_id = :to and b.project_id = :from and b.server = n.server`,
    ids,
  );
  const { rows } = await trx.raw<{ rows: { server: string }[] }>(
    `insert into server_pins (project_id, server, pinned_at, has_offers)
     select p.id, b.server, b.pinned_at, b.has_offers from server_pins b join projects p on p.id = :to
     where b.project_id = :from and p.servers @> jsonb_build_array(jsonb_build_object('server', b.server))
     returning server`,
    ids,
  );
  const servers = rows.map(({ server }) => server).sort();
  for (const of of ['tools', 'offers'] as const) await trx.raw(copied(of), { ...ids, servers });
  if (servers.length === 0) return;
  await record(trx, actor, {
    ...{ verb: 'edit', resource: 'project', id: to, name: made.name, ownerId: made.ownerId },
    changes: [{ field: 'approved', to: { asOf: from.name, servers } }],
  });
}

/** As who approved it, and when; as much of definitions as its owner has room for. */
function copied(of: 'tools' | 'offers'): string {
  const { pins } = places[of];
  return `
  with held as (
    select coalesce(sum(octet_length(a.definition)), 0) as bytes
    from thing_pins a join projects p on p.id = a.project_id
    where p.owner_id = (select owner_id from projects where id = :to)
  )
  insert into ${pins} (project_id, server, ${keyIn('', of)}, hash, definition, approved_by, approved_at)
  select :to, a.server, ${keyIn('a.', of)}, a.hash,
    case when h.bytes + sum(octet_length(a.definition)) over (order by a.server, ${keyIn('a.', of)}) <= (${roomOfOne()})
      then a.definition else '${NOT_KEPT}' end,
    a.approved_by, a.approved_at
  from ${pins} a cross join held h where a.project_id = :from and a.server = any(:servers)`;
}
