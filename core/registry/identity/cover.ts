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

/** Those of these grants that name what is the actor's own: one look for all of a table, as others wait for their turn. */
async function ownAmong(
  trx: Knex.Transaction,
  { userId }: Actor,
  grants: readonly Grant[],
): Promise<ReadonlySet<Grant>> {
  const own = new Set<Grant>();
  for (const [word, { table, name: column }] of Object.entries(owned)) {
    const of = grants.filter(({ resource, name }) => resource === word && name !== null);
    if (of.length === 0) continue;
    const rows = await trx(table)
      .whereIn(
        column,
        of.map(({ name }) => name),
      )
      .where({ ownerId: userId })
      .select<{ name: string | null }[]>(`${column} as name`);
    const names = new Set(rows.map(({ name }) => name));
    for (const grant of of) if (names.has(grant.name)) own.add(grant);
  }
  return own;
}

/**
 * Nobody gives what they lack, and nobody takes it. What one may do with one's own one may give by its name.
 * @throws McpctlError `escalation`
 */
export async function needCoverOrOwn(trx: Knex.Transaction, actor: Actor, rights: Rights): Promise<void> {
  const { grants, operations } = lackedBy(actor, rights);
  const asOwner = grants.filter((grant) => givesOwner(grant) && letsOwn(actor, grant));
  const own = await ownAmong(trx, actor, asOwner);
  needCover(actor, { grants: grants.filter((grant) => !own.has(grant)), operations });
}
