import type { Knex } from 'knex';
import type { Actor } from '../../access.ts';
import type { Author } from '../../audit/event.ts';
import { McpctlError } from '../../errors.ts';
import { record } from '../audit/record.ts';
import type { Connection } from '../database/connect.ts';
import { enterIdentity } from '../identity/actors.ts';
import { denyLlms, type Denied } from '../people/denials.ts';
import { lockRows } from '../people/sessions.ts';
import { revokeFamily } from '../people/tokens.ts';

/** A session that left, and its llms, whose rows are there still. */
export interface Leaving {
  session: Pick<Denied, 'sessionId' | 'boot'>;
  llms: { id: string; name: string }[];
}

/** A worker's own credential, and how it ends. */
export interface WorkerCredentials {
  /**
   * Ends the credential that it is asked with, and all that is published with it, for good.
   * @throws McpctlError `forbidden` where that is no worker's: a person's token is revoked by its person.
   */
  leave(actor: Actor): Promise<Leaving[]>;
}

export async function isOwnCredential(trx: Knex.Transaction, tokenId: string): Promise<boolean> {
  const own = trx('tokens').where({ id: tokenId, ofWorker: true });
  return (await own.first<object | undefined>('id')) !== undefined;
}

/** Ends a worker's credential with the session that it published as; another token of its user stays. Behind the turn of identity. */
export async function endOwnCredential(
  trx: Knex.Transaction,
  { tokenId, author }: { tokenId: string | null; author: Author },
): Promise<void> {
  const [token] = await trx('tokens')
    .where({ id: tokenId, ofWorker: true, revokedAt: null })
    .select<{ id: string; name: string; userId: string }[]>('id', 'name', 'userId');
  if (!token) return;
  await revokeFamily(trx, token.id);
  const { id, name, userId: ownerId } = token;
  await record(trx, author, { verb: 'delete', resource: 'token', id, name, ownerId });
}

async function leaveOne(
  trx: Knex.Transaction,
  { id, boot, actor }: { id: string; boot: string; actor: Actor },
): Promise<Leaving> {
  await trx('sessions').where({ id }).update({ leftAt: trx.fn.now() });
  const ids = await lockRows(trx, [id], 'wait');
  await denyLlms(trx, ids);
  const what = { verb: 'delete', resource: 'session', id, name: id } as const;
  await record(trx, actor, { ...what, ownerId: actor.userId });
  const llms = await trx('llms').whereIn('id', ids).select<{ id: string; name: string }[]>('id', 'name');
  return { session: { sessionId: id, boot }, llms };
}

export function createWorkerCredentials({ transaction }: Connection): WorkerCredentials {
  return {
    leave: (asking) =>
      transaction(async (trx) => {
        const actor = await enterIdentity(trx, asking);
        if (!(await isOwnCredential(trx, actor.tokenId)))
          throw new McpctlError(
            'forbidden',
            `'${actor.tokenName}' is no worker's own credential: whose token it is revokes it, with mcpctl token revoke.`,
          );
        const sessions = await trx('sessions')
          .where({ tokenId: actor.tokenId, ownerId: actor.userId })
          .whereNull('leftAt')
          .orderBy('id')
          .forUpdate()
          .select<{ id: string; instanceId: string | null }[]>('id', 'instanceId');
        const left: Leaving[] = [];
        for (const { id, instanceId } of sessions)
          left.push(await leaveOne(trx, { id, boot: instanceId ?? id, actor }));
        await endOwnCredential(trx, { tokenId: actor.tokenId, author: actor });
        return left;
      }),
  };
}
