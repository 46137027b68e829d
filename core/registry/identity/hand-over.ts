import type { Knex } from 'knex';
import { canToAll, type Actor } from '../../access.ts';
import type { Change } from '../../audit/event.ts';
import { McpctlError } from '../../errors.ts';
import type { Resource } from '../../resources/index.ts';
import { record } from '../audit/record.ts';
import { userCalled } from '../people/users-there.ts';

/** What has an owner who can be another: not what somebody said (threads, tasks), nor what proves who they are (tokens, sessions). */
const handed: readonly { table: string; word: Resource }[] = [
  { table: 'llms', word: 'llm' },
  { table: 'pools', word: 'pool' },
  { table: 'servers', word: 'server' },
  { table: 'projects', word: 'project' },
  { table: 'agents', word: 'agent' },
  { table: 'personalities', word: 'personality' },
  { table: 'prompts', word: 'prompt' },
  { table: 'secrets', word: 'secret' },
  { table: 'groups', word: 'group' },
  { table: 'rbac', word: 'rbac' },
];

interface Leaving {
  id: string;
  name: string;
}

const refused = (message: string): McpctlError =>
  new McpctlError('invalid_request', undefined, { details: [{ path: 'transferTo', message }] });

/** @throws McpctlError `in_use` where something would be nobody's: what a worker publishes goes with its session. */
export async function needNothingLeft(trx: Knex.Transaction, { id, name }: Leaving): Promise<void> {
  const { rows } = await trx.raw<{ rows: { name: string }[] }>(
    `select name from llms where owner_id = :id and kind = 'public' order by name limit 6`,
    { id },
  );
  if (rows.length === 0) return;
  const named = rows.slice(0, 5).map((row) => row.name);
  const others = rows.length > 5 ? ' and others' : '';
  throw new McpctlError(
    'in_use',
    `'${name}' owns the public llms ${named.join(', ')}${others}: hand over what is theirs (transferTo; mcpctl delete user ${name} --transfer-to USER), or delete those first.`,
  );
}

/**
 * Everything that is a user's own, and the names that are kept for them, are another's. What is private of it is read by the new
 * owner: so whoever hands it over must be allowed to change it all anyhow. The quota of who gets it is not asked; more they do not make.
 * @throws McpctlError `invalid_request`, `forbidden`, `name_taken`
 */
export async function handOver(
  trx: Knex.Transaction,
  from: Leaving,
  { to, actor }: { to: string; actor: Actor },
): Promise<void> {
  const [heir] = await userCalled(trx, to).where({ enabled: true }).select<{ id: string }[]>('id').forShare();
  if (!heir || heir.id === from.id) throw refused(`there is no enabled user named '${to}'`);
  await needOtherPrompts(trx, from.id, heir.id);
  const changes: Change[] = [{ field: 'from', to: from.name }];
  // As whoever enters them locks them: rows of llms, then names, then pools.
  await trx.raw('select 1 from llms where owner_id = :id order by name for update', { id: from.id });
  await trx.raw('select 1 from name_owners where owner_id = :id order by name for update', { id: from.id });
  for (const { table, word } of handed) {
    const moved = await trx(table).where({ ownerId: from.id }).update({ ownerId: heir.id });
    if (moved === 0) continue;
    if (!canToAll(actor, 'edit', word))
      throw new McpctlError(
        'forbidden',
        `'${from.name}' owns ${table}: to hand those over you must be allowed to edit all.`,
      );
    changes.push({ field: table, to: moved });
  }
  await trx('nameOwners').where({ ownerId: from.id }).update({ ownerId: heir.id });
  // What was their own of their projects is the heir's own of the heir's; to others' projects it is another's now.
  await trx.raw(
    `update meant_names m set owner_id = :heir from projects p
       where p.id = m.project_id and p.owner_id = :heir and m.owner_id = :from`,
    { heir: heir.id, from: from.id },
  );
  // Whose a pool is, is its guest no more.
  await trx.raw(
    'delete from pool_allowed a using pools p where a.user_id = :heir and p.key = a.pool_key and p.owner_id = :heir',
    { heir: heir.id },
  );
  const what = { verb: 'edit', resource: 'user', id: heir.id, name: to, ownerId: heir.id } as const;
  await record(trx, actor, { ...what, changes });
}

/** Prompts of nothing are told apart by their owner. */
async function needOtherPrompts(trx: Knex.Transaction, from: string, to: string): Promise<void> {
  const { rows } = await trx.raw<{ rows: { name: string }[] }>(
    `select a.name from prompts a join prompts b on b.name = a.name and b.owner_id = :to
       and b.agent_id is null and b.project_id is null
     where a.owner_id = :from and a.agent_id is null and a.project_id is null limit 1`,
    { from, to },
  );
  const [same] = rows;
  if (same)
    throw new McpctlError(
      'name_taken',
      `Both have a prompt named '${same.name}': give one of them another name first.`,
    );
}
