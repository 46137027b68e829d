import type { Knex } from 'knex';
import { z } from 'zod';
import { canToAll, type Actor } from '../../access.ts';
import { needCover, needFilterCover } from '../../access/covers.ts';
import { throughFilter } from '../../access/filter.ts';
import type { Restored } from '../../backup/calls.ts';
import type { BackupDocument } from '../../backup/format.ts';
import { McpctlError } from '../../errors.ts';
import { instantSchema } from '../../newer-words.ts';
import { record } from '../audit/record.ts';
import { filterWords } from '../identity/actors.ts';
import { rightsOfUser } from '../identity/rights.ts';

const tokenSchema = z.object({
  id: z.uuid(),
  name: z.string().max(128),
  user: z.string(),
  preset: z.string().max(32),
  bindings: z.array(z.unknown()).max(100),
  operations: z.array(z.unknown()).max(100),
  pools: z.array(z.string().max(128)).max(1_000).nullable(),
  createdAt: instantSchema,
  expiresAt: instantSchema.nullable(),
  revokedAt: instantSchema.nullable(),
  parentId: z.uuid().nullable(),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
});

type Item = Restored['items'][number];

/**
 * Tokens whose hashes a backup has, in an installation that was empty before: elsewhere, or without hashes, they are named and
 * nothing more. Nobody gets one that lets through what who restores lacks; one that was revoked, or has expired, is none.
 * @throws McpctlError `forbidden`, `escalation`
 */
export async function restoreTokens(
  trx: Knex.Transaction,
  tokens: readonly BackupDocument[],
  { by, isEmpty }: { by: Actor; isEmpty: boolean },
): Promise<Item[]> {
  const items: Item[] = [];
  for (const document of tokens) {
    const { success, data: token } = tokenSchema.safeParse(document);
    const item = { resource: 'token', name: String(document['name']).slice(0, 128), changed: [] };
    if (document['hash'] === undefined) items.push({ ...item, outcome: 'named' });
    else if (!success)
      throw new McpctlError('invalid_request', undefined, {
        details: [{ path: `token/${item.name}`, message: 'is no token as a backup has it' }],
      });
    else items.push({ ...item, ...(await restoreToken(trx, token, { by, isEmpty })) });
  }
  return items;
}

const skipped = (why: string): Pick<Item, 'outcome' | 'why'> => ({ outcome: 'skipped', why });

async function restoreToken(
  trx: Knex.Transaction,
  token: z.infer<typeof tokenSchema>,
  { by, isEmpty }: { by: Actor; isEmpty: boolean },
): Promise<Pick<Item, 'outcome' | 'why'>> {
  if (!isEmpty) return skipped('tokens are restored into an empty installation alone');
  const { id, hash, name, user, preset, bindings, operations, pools, parentId } = token;
  const here: unknown = await trx('tokens').where({ id }).orWhere({ hash }).first('id');
  if (here !== undefined) return { outcome: 'unchanged' };
  if (token.revokedAt) return skipped('was revoked');
  const holder = await trx('users')
    .where({ name: user })
    .whereNull('deletedAt')
    .first<{ id: string } | undefined>('id');
  if (!holder) return skipped(`its user '${user}' is not here`);
  const named: unknown = await trx('tokens')
    .where({ userId: holder.id, name })
    .whereNull('revokedAt')
    .first('id');
  if (named !== undefined) return skipped('its user has one of that name here');
  const filter = filterWords({ preset, bindings, operations });
  if (!canToAll(by, 'create', 'token'))
    throw new McpctlError('forbidden', 'Your token may not make tokens for other users.');
  if (by.filter !== null) needFilterCover(by.filter, filter);
  if (holder.id !== by.userId) needCover(by, throughFilter(await rightsOfUser(trx, holder.id), filter));
  const parent: unknown =
    parentId === null ? undefined : await trx('tokens').where({ id: parentId }).first('id');
  await trx('tokens').insert({
    ...{ id, name, hash, preset, pools, userId: holder.id },
    ...{ bindings: JSON.stringify(bindings), operations: JSON.stringify(operations) },
    ...{ createdAt: token.createdAt, expiresAt: token.expiresAt, createdBy: by.userId },
    parentId: parent === undefined ? null : parentId,
  });
  await record(trx, by, { verb: 'create', resource: 'token', id, name, ownerId: holder.id });
  return { outcome: 'created' };
}
