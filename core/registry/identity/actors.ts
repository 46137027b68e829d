import type { Knex } from 'knex';
import type { Actor } from '../../access.ts';
import { filterOf, presets, type FilterWords } from '../../access/filter.ts';
import { Granted } from '../../access/grants.ts';
import { McpctlError } from '../../errors.ts';
import { rightsIn, rightsOfUser } from './rights.ts';

/** Who a token speaks for, without what they are granted. */
type Named = Omit<Actor, 'granted'>;

interface Kept {
  preset: string;
  bindings: unknown;
  operations: unknown;
}

/** As `tokens` has it. A preset of a later release that we do not know lets through what bindings it has, and else nothing but calls. */
export function filterWords({ preset, ...narrowed }: Kept): FilterWords {
  const { grants, operations } = rightsIn([narrowed]);
  return { preset: presets.find((word) => word === preset) ?? 'call', bindings: grants, operations };
}

type NamedRow = Omit<Named, 'filter'> & Kept & { epoch: string };

/** Undefined where it is none, was revoked, has expired, or its user is disabled. `epoch`: of identity, as it was then. */
export async function readNamed(
  db: Knex,
  where: Readonly<Record<string, string>>,
): Promise<(Named & { epoch: string }) | undefined> {
  const row = await db('tokens')
    .join('users', 'users.id', 'tokens.userId')
    .where(where)
    .where('users.enabled', true)
    .whereNull('tokens.revokedAt')
    .whereRaw('(tokens.expires_at is null or tokens.expires_at > now())')
    .select(db.raw('(select revision from identity_epoch) as epoch'))
    .first<NamedRow | undefined>({
      userId: 'users.id',
      userName: 'users.name',
      tokenId: 'tokens.id',
      tokenName: 'tokens.name',
      tokenExpiresAt: 'tokens.expiresAt',
      binding: 'users.binding',
      pools: 'tokens.pools',
      preset: 'tokens.preset',
      bindings: 'tokens.bindings',
      operations: 'tokens.operations',
    });
  if (!row) return undefined;
  const { preset, bindings, operations, ...named } = row;
  return { ...named, filter: filterOf(filterWords({ preset, bindings, operations })) };
}

/** Who a token speaks for; undefined as `readNamed`. */
export async function actorWith(db: Knex, tokenId: string): Promise<Actor | undefined> {
  const named = await readNamed(db, { 'tokens.id': tokenId });
  if (!named) return undefined;
  const { epoch: _epoch, ...actor } = named;
  return { ...actor, granted: new Granted(await rightsOfUser(db, actor.userId)) };
}

/**
 * The one turn that all writes of identity take, before any other lock but none: nobody is demoted, and nothing is granted,
 * between what is asked here and the commit.
 * @returns who the actor is behind it. @throws McpctlError `unauthenticated` to whom it is not any more.
 */
export async function enterIdentity(
  trx: Knex.Transaction,
  { tokenId, by, origin }: Pick<Actor, 'tokenId' | 'by' | 'origin'>,
): Promise<Actor> {
  if (by)
    throw new McpctlError(
      'forbidden',
      'Who acts as another changes nothing of who may what: do it as yourself.',
    );
  await trx.raw('select revision from identity_epoch for update');
  const actor = await actorWith(trx, tokenId);
  if (!actor) throw new McpctlError('unauthenticated');
  return { ...actor, ...(origin && { origin }) };
}
