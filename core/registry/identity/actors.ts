import type { Knex } from 'knex';
import type { Actor } from '../../access.ts';
import { Granted } from '../../access/grants.ts';
import { McpctlError } from '../../errors.ts';
import { rightsOfUser } from './rights.ts';

/** Who a token speaks for, without what they are granted. */
type Named = Omit<Actor, 'granted'>;

/** Undefined where it is none, was revoked, has expired, or its user is disabled. `epoch`: of identity, as it was then. */
export function readNamed(
  db: Knex,
  where: Readonly<Record<string, string>>,
): Promise<(Named & { epoch: string }) | undefined> {
  return db('tokens')
    .join('users', 'users.id', 'tokens.userId')
    .where(where)
    .where('users.enabled', true)
    .whereNull('tokens.revokedAt')
    .whereRaw('(tokens.expires_at is null or tokens.expires_at > now())')
    .select(db.raw('(select revision from identity_epoch) as epoch'))
    .first<(Named & { epoch: string }) | undefined>({
      userId: 'users.id',
      userName: 'users.name',
      tokenId: 'tokens.id',
      tokenName: 'tokens.name',
      binding: 'users.binding',
      pools: 'tokens.pools',
    });
}

/**
 * The one turn that all writes of identity take, before any other lock but none: nobody is demoted, and nothing is granted,
 * between what is asked here and the commit.
 * @returns who the actor is behind it. @throws McpctlError `unauthenticated` to whom it is not any more.
 */
export async function enterIdentity(trx: Knex.Transaction, { tokenId }: { tokenId: string }): Promise<Actor> {
  await trx.raw('select revision from identity_epoch for update');
  const named = await readNamed(trx, { 'tokens.id': tokenId });
  if (!named) throw new McpctlError('unauthenticated');
  const { epoch: _epoch, ...actor } = named;
  return { ...actor, granted: new Granted(await rightsOfUser(trx, actor.userId)) };
}
