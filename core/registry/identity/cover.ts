import type { Knex } from 'knex';
import type { Actor } from '../../access.ts';
import { lackedBy, letsOwn, needCover } from '../../access/covers.ts';
import type { Grant, Rights } from '../../access/grants.ts';
import type { Verb } from '../../resources/define.ts';
import { resources } from '../../resources/index.ts';

/** What has an owner, and a name that is one thing's: where that is written. */
const owned: Readonly<Record<string, { table: string; name: string; also?: readonly Verb[] }>> = {
  llm: { table: 'llms', name: 'name' },
  // Who owns a pool says who joins it.
  pool: { table: 'pools', name: 'key', also: ['create'] },
  agent: { table: 'agents', name: 'name' },
  project: { table: 'projects', name: 'name' },
  server: { table: 'servers', name: 'name' },
};

const isResource = (word: string): word is keyof typeof resources => Object.hasOwn(resources, word);

function givesOwner({ role, resource }: Grant): boolean {
  const may = isResource(resource) ? resources[resource].may : {};
  return owned[resource]?.also?.includes(role) === true || (role !== 'create' && may[role] !== undefined);
}

async function owns(trx: Knex.Transaction, { userId }: Actor, { resource, name }: Grant): Promise<boolean> {
  const where = owned[resource];
  if (!where || name === null) return false;
  const rows: unknown[] = await trx(where.table)
    .where({ [where.name]: name, ownerId: userId })
    .limit(1)
    .select('ownerId');
  return rows.length > 0;
}

/**
 * Nobody gives what they lack, and nobody takes it. What one may do with one's own one may give by its name.
 * @throws McpctlError `escalation`
 */
export async function needCoverOrOwn(trx: Knex.Transaction, actor: Actor, rights: Rights): Promise<void> {
  const { grants, operations } = lackedBy(actor, rights);
  const left: Grant[] = [];
  for (const grant of grants) {
    const isOwn = givesOwner(grant) && letsOwn(actor, grant) && (await owns(trx, actor, grant));
    if (!isOwn) left.push(grant);
  }
  needCover(actor, { grants: left, operations });
}
