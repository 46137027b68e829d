import type { Knex } from 'knex';
import { v7 } from 'uuid';
import { can, canToAll, type Actor } from '../../access.ts';
import { needCover, needFilterCover } from '../../access/covers.ts';
import { grantedTo } from '../../access/presets.ts';
import { throughFilter, type FilterWords } from '../../access/filter.ts';
import { McpctlError } from '../../errors.ts';
import { record } from '../audit/record.ts';
import { enterIdentity } from '../identity/actors.ts';
import { needNotRetired } from '../identity/retired-names.ts';
import { rightsOfUser } from '../identity/rights.ts';
import { userCalled } from './users-there.ts';

/** Whom a token is for: who makes it, or another, who may not be there yet. */
export interface Holder {
  /** Undefined: one's own. */
  user: string | undefined;
  /** What a user stands for who is made with it. */
  binding: Actor['binding'] | undefined;
}

interface Minting extends Holder {
  filter: FilterWords;
}

const forbidden = (message: string): McpctlError => new McpctlError('forbidden', message);

/**
 * Whether somebody may make that token, asked behind the turn of identity, and in the transaction that makes it.
 * @returns the id of whom it is for; who was not there is made. @throws McpctlError `forbidden`, `escalation`, `invalid_request`
 */
export async function needMayMint(
  trx: Knex.Transaction,
  by: Pick<Actor, 'tokenId' | 'origin'>,
  { user, binding, filter }: Minting,
): Promise<string> {
  const actor = await enterIdentity(trx, by);
  checkMint(actor);
  if (actor.filter !== null) needFilterCover(actor.filter, filter);
  const isOwn = user === undefined || user === actor.userName;
  if (isOwn && binding === undefined) return actor.userId;
  if (!canToAll(actor, 'create', 'token'))
    throw forbidden('Only an admin may make tokens for other users or say what they may do.');
  if (binding !== undefined) needCover(actor, grantedTo[binding].rights);
  const holder = await holderOf(trx, actor, { user: user ?? actor.userName, binding });
  if (holder.id !== actor.userId) needCover(actor, throughFilter(await rightsOfUser(trx, holder.id), filter));
  return holder.id;
}

/** @throws McpctlError `forbidden`: who may not publish in these pools lets no worker in there. */
export function needMayPublish(actor: Actor, pools: readonly string[]): void {
  for (const poolKey of pools)
    if (!can(actor, 'create', { resource: 'session', target: { poolKey } }))
      throw forbidden(`You may not publish in the pool '${poolKey}'.`);
}

/** @throws McpctlError `forbidden` to whom a token keeps from making others. */
export function checkMint(actor: Actor): void {
  if (can(actor, 'create', { resource: 'token', target: { ownerId: actor.userId } })) return;
  const why =
    actor.pools === null
      ? `Your token '${actor.tokenName}' makes no others: make them with one of the preset manage or full.`
      : 'Your token is bound to pools and makes no others: make them with one that is not.';
  throw forbidden(why);
}

async function holderOf(
  trx: Knex.Transaction,
  actor: Actor,
  { user, binding }: { user: string; binding: Actor['binding'] | undefined },
): Promise<{ id: string }> {
  const [there] = await userCalled(trx, user).select<{ id: string; binding: Actor['binding'] }[]>(
    'id',
    'binding',
  );
  if (there && binding !== undefined && there.binding !== binding) {
    const message = `the user '${user}' is there already, as ${there.binding}`;
    throw new McpctlError('invalid_request', undefined, { details: [{ path: 'binding', message }] });
  }
  if (there) return there;
  if (!can(actor, 'create', { resource: 'user', target: { name: user } }))
    throw forbidden(`There is no user named '${user}', and your token may not create users.`);
  const made = { id: v7(), name: user, binding: binding ?? 'user' } as const;
  await needNotRetired(trx, { resource: 'user', name: user, id: made.id }, actor);
  await trx('users').insert(made);
  const changes = [{ field: 'binding', to: made.binding }];
  const what = { verb: 'create', resource: 'user', id: made.id, name: user } as const;
  await record(trx, actor, { ...what, ownerId: actor.userId, changes });
  return made;
}
