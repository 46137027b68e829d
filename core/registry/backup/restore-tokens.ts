import type { Knex } from 'knex';
import { z } from 'zod';
import { can, canToAll, type Actor } from '../../access.ts';
import { needCover, needFilterCover } from '../../access/covers.ts';
import { throughFilter } from '../../access/filter.ts';
import type { Restored } from '../../backup/calls.ts';
import type { BackupDocument } from '../../backup/format.ts';
import { McpctlError } from '../../errors.ts';
import { record } from '../audit/record.ts';
import { filterWords } from '../identity/actors.ts';
import { rightsOfUser } from '../identity/rights.ts';
import { userCalled } from '../people/users-there.ts';

/** As a line of a backup has it. */
const instantSchema = z.iso.datetime().transform((text) => new Date(text));

const tokenSchema = z.object({
  id: z.uuid(),
  name: z.string().max(128),
  /** Files of before do not say. */
  prefix: z
    .string()
    .regex(/^mcp(ctl|w)_[\w-]{4}$/)
    .nullable()
    .default(null),
  user: z.string(),
  preset: z.string().max(32),
  bindings: z.array(z.unknown()).max(100),
  operations: z.array(z.unknown()).max(100),
  pools: z.array(z.string().max(128)).max(1_000).nullable(),
  createdAt: instantSchema,
  expiresAt: instantSchema.nullable(),
  revokedAt: instantSchema.nullable(),
  parentId: z.uuid().nullable(),
  /** Who made it, and whether it is a worker's own; files of before do not say. */
  madeBy: z.string().nullable().default(null),
  ofWorker: z.boolean().default(false),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
});

type Item = Restored['items'][number];

/** Who restores, and why no token comes alive here; null: one may. */
interface Restorer {
  by: Actor;
  /** With which token: none lives longer than that, and they end with it; null: whoever is at the machine needs none. */
  through: string | null;
  lack: string | null;
}

interface Restoring extends Restorer {
  now: Date;
  /** By this restore, so that what was made with them can be told so: whoever else's a file names is not asked. */
  made: Set<string>;
}

/**
 * Why an installation takes no token from a backup. Of a user who was ever here, and of what was made here, nobody can say
 * any more whether it was revoked: rows of tokens that ended are not kept for good.
 */
export async function lackForTokens(
  trx: Knex.Transaction,
  { by, installation }: { by: Actor; installation: string },
): Promise<string | null> {
  const own: unknown = await trx('installation').whereRaw('id::text = ?', [installation]).first('id');
  if (own !== undefined) return 'it was made here, and is here no more: it was revoked';
  const other: unknown = await trx('users').whereNot({ id: by.userId }).first('id');
  return other === undefined ? null : 'tokens are restored into an empty installation alone';
}

/**
 * Tokens whose hashes a backup has, in an installation that was empty before: elsewhere, or without hashes, they are named and
 * nothing more. Nobody gets one that lets through what who restores lacks; one that was revoked, or has expired, is none.
 * @throws McpctlError `forbidden`, `escalation`
 */
export async function restoreTokens(
  trx: Knex.Transaction,
  tokens: readonly BackupDocument[],
  restorer: Restorer,
): Promise<Item[]> {
  const items: Item[] = [];
  const restoring = { ...restorer, now: await nowIn(trx), made: new Set<string>() };
  for (const document of tokens) {
    const { success, data: token } = tokenSchema.safeParse(document);
    const item = { resource: 'token', name: String(document['name']).slice(0, 128), changed: [] };
    if (document['hash'] === undefined) items.push({ ...item, outcome: 'named' });
    else if (!success)
      throw new McpctlError('invalid_request', undefined, {
        details: [{ path: `token/${item.name}`, message: 'is no token as a backup has it' }],
      });
    else items.push({ ...item, ...(await restoreToken(trx, token, restoring)) });
  }
  return items;
}

const skipped = (why: string): Pick<Item, 'outcome' | 'why'> => ({ outcome: 'skipped', why });

async function restoreToken(
  trx: Knex.Transaction,
  token: z.infer<typeof tokenSchema>,
  { by, through, lack, now, made }: Restoring,
): Promise<Pick<Item, 'outcome' | 'why'>> {
  const { id, hash, name, prefix, user, preset, bindings, operations, pools, parentId } = token;
  const here: unknown = await trx('tokens').where({ id }).orWhere({ hash }).first('id');
  if (here !== undefined) return { outcome: 'unchanged' };
  if (lack !== null) return skipped(lack);
  if (token.revokedAt) return skipped('was revoked');
  if (token.expiresAt && token.expiresAt <= now) return skipped('has expired');
  const holder = await userCalled(trx, user).first<{ id: string } | undefined>('id');
  if (!holder) return skipped(`its user '${user}' is not here`);
  const namesake: unknown = await trx('tokens')
    .where({ userId: holder.id, name })
    .whereNull('revokedAt')
    .first('id');
  // Such is the first token of a release: whoever has the one of before gets in with that, too.
  const called = namesake === undefined ? name : `${name.slice(0, 100)}-${hash.slice(0, 8)}`;
  const filter = filterWords({ preset, bindings, operations });
  if (!canToAll(by, 'create', 'token'))
    throw new McpctlError('forbidden', 'Your token may not make tokens for other users.');
  if (by.filter !== null) needFilterCover(by.filter, filter);
  if (holder.id !== by.userId) needCover(by, throughFilter(await rightsOfUser(trx, holder.id), filter));
  const parent = parentId !== null && made.has(parentId) ? parentId : through;
  await trx('tokens').insert({
    ...{ id, name: called, prefix, hash, preset, pools, userId: holder.id, parentId: parent },
    ...{ bindings: JSON.stringify(bindings), operations: JSON.stringify(operations) },
    ...{ createdAt: token.createdAt, createdBy: await makerOf(trx, token, by), ofWorker: token.ofWorker },
    // No longer than what brought it, whatever the file says.
    expiresAt: trx.raw('least(cast(? as timestamptz), (select expires_at from tokens where id = ?))', [
      token.expiresAt,
      parent,
    ]),
  });
  made.add(id);
  await record(trx, by, { verb: 'create', resource: 'token', id, name: called, ownerId: holder.id });
  return { outcome: 'created' };
}

/**
 * Whoever makes a token that is bound to pools lets its user into those that are theirs to open: so it says again who that was,
 * where who restores may open them, and else nobody. Never who restores: what they may, nobody has let anybody into.
 */
async function makerOf(
  trx: Knex.Transaction,
  { madeBy, pools }: z.infer<typeof tokenSchema>,
  by: Actor,
): Promise<string | null> {
  const opens = (key: string): boolean =>
    can(by, 'edit', { resource: 'pool', target: { name: key, poolKey: key } });
  if (madeBy === null || !(pools ?? []).every(opens)) return null;
  return (await userCalled(trx, madeBy).first<{ id: string } | undefined>('id'))?.id ?? null;
}

/** By the database's clock, as where tokens are asked: the same throughout a transaction. */
async function nowIn(trx: Knex.Transaction): Promise<Date> {
  const { rows } = await trx.raw<{ rows: [{ now: Date }] }>('select now()');
  return rows[0].now;
}
