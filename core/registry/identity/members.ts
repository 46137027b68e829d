import type { Knex } from 'knex';
import { can, type Actor } from '../../access.ts';
import { McpctlError, type Fault } from '../../errors.ts';
import { MOST_MEMBERS } from '../../resources/people/identity.ts';
import { usersCalled } from '../people/users-there.ts';

/** @throws McpctlError `invalid_request` that names each who is not there, or may not be seen. */
export async function writeMembers(
  trx: Knex.Transaction,
  groupId: string,
  { names, actor }: { names: readonly string[]; actor: Actor },
): Promise<void> {
  const count = await trx('memberships').where({ groupId }).count<{ count: string }[]>('* as count');
  if (Number(count[0]?.count ?? 0) > MOST_MEMBERS)
    throw new McpctlError('invalid_request', undefined, {
      details: [
        {
          path: 'members',
          message: `has more than ${MOST_MEMBERS} names here: leave it out, and use "mcpctl group add" and "remove"`,
        },
      ],
    });
  const userIds = await idsCalled(trx, { names, actor });
  await trx('memberships').where({ groupId }).whereNotIn('userId', userIds).delete();
  await insertMembers(trx, groupId, { userIds, actor });
}

/**
 * Puts them in beside those who are: how more than a document may name are written. Whether the actor may is asked before.
 * @returns whether any of them was not in. @throws McpctlError `invalid_request` that names each who is not there.
 */
export async function addMembers(
  trx: Knex.Transaction,
  groupId: string,
  about: { names: readonly string[]; actor: Actor },
): Promise<boolean> {
  const userIds = await idsCalled(trx, about);
  return insertMembers(trx, groupId, { userIds, actor: about.actor });
}

async function idsCalled(
  trx: Knex.Transaction,
  { names, actor }: { names: readonly string[]; actor: Actor },
): Promise<string[]> {
  const rows = await usersCalled(trx, names)
    .select<{ id: string; name: string }[]>('id', 'name')
    .forKeyShare();
  const ids = new Map(rows.map(({ id, name }) => [name, id]));
  const isThere = (name: string): boolean =>
    ids.has(name) && can(actor, 'view', { resource: 'user', target: { name } });
  const faults = names.flatMap((name, at): Fault[] =>
    isThere(name) ? [] : [{ path: `members.${at}`, message: `there is no user named '${name}'` }],
  );
  if (faults.length > 0) throw new McpctlError('invalid_request', undefined, { details: faults });
  return [...ids.values()];
}

async function insertMembers(
  trx: Knex.Transaction,
  groupId: string,
  { userIds, actor }: { userIds: readonly string[]; actor: Actor },
): Promise<boolean> {
  if (userIds.length === 0) return false;
  const made: unknown[] = await trx('memberships')
    .insert(userIds.map((userId) => ({ groupId, userId, addedBy: actor.userId })))
    .onConflict(['group_id', 'user_id'])
    .ignore()
    .returning('userId');
  return made.length > 0;
}
