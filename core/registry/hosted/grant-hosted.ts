import { McpctlError } from '../../errors.ts';
import type { Connection } from '../database/connect.ts';

/** The views of migrations 0038, 0070 and 0076: all that a hosted worker reads. */
const views = [
  'hosted_llms',
  'hosted_former_llms',
  'hosted_keys',
  'hosted_requests',
  'hosted_servers',
  'hosted_server_keys',
];

interface Role {
  rolsuper: boolean;
  isOwners: boolean;
  /** Both as SQL writes them. */
  name: string;
  place: string;
}

const refused = (why: string): McpctlError => new McpctlError('invalid_config', `MCPCTL_HOSTED_ROLE ${why}`);

/**
 * Lets a role of Postgres read what a hosted worker reads, and nothing else of this schema, whatever it was granted before.
 * @throws McpctlError `invalid_config` where there is no such role, or it may do everything anyhow: what it was granted could not
 * be told from what it has.
 */
export async function grantHosted({ transaction, schema }: Connection, role: string): Promise<void> {
  await transaction(async (trx) => {
    const { rows } = await trx.raw<{ rows: Role[] }>(
      `select rolsuper, pg_has_role(rolname, current_user, 'member') as is_owners, format('%I', rolname) as name,
         format('%I', cast(? as text)) as place
       from pg_roles where rolname = ?`,
      [schema, role],
    );
    const [row] = rows;
    if (!row)
      throw refused(`names no role of this Postgres: make it first, create role ${role} login password '…'.`);
    if (row.rolsuper || row.isOwners)
      throw refused(
        `names a role that may do all that this one may: make one of its own for hosted workers.`,
      );
    const { name, place } = row;
    for (const what of ['tables', 'sequences', 'functions'])
      await trx.raw(`revoke all on all ${what} in schema ${place} from ${name}`);
    await trx.raw(`revoke all on schema ${place} from ${name}`);
    await trx.raw(`grant usage on schema ${place} to ${name}`);
    await trx.raw(`grant select on ${views.join(', ')} to ${name}`);
  });
}
