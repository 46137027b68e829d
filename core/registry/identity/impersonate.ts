import type { Knex } from 'knex';
import { canDo, type Actor } from '../../access.ts';
import { needCover } from '../../access/covers.ts';
import { Granted } from '../../access/grants.ts';
import { McpctlError } from '../../errors.ts';
import { userNameSchema } from '../../resources/people/identity.ts';
import { rightsOfUser } from './rights.ts';
import { userCalled } from '../people/users-there.ts';

/**
 * Another user, as whoever has the operation `impersonate` and all that this one is granted acts as them: with what they
 * may, through the token of who does it. It is asked at each call, so that nothing of it is believed longer.
 * @throws McpctlError `invalid_request`, `forbidden`, `user_not_found`, `escalation`
 */
export async function actAs(db: Knex, actor: Actor, name: string): Promise<Actor> {
  if (!userNameSchema.safeParse(name).success) {
    const message = 'names one user, as users are called';
    throw new McpctlError('invalid_request', undefined, { details: [{ path: 'x-mcpctl-as', message }] });
  }
  if (!canDo(actor, 'impersonate'))
    throw new McpctlError(
      'forbidden',
      'To act as another takes the operation impersonate, and a token that lets it through.',
    );
  const user = await userCalled(db, name)
    .where({ enabled: true })
    .first<{ id: string; binding: Actor['binding'] } | undefined>('id', 'binding');
  if (!user) throw new McpctlError('user_not_found', `There is no user named '${name}' who is enabled.`);
  const rights = await rightsOfUser(db, user.id);
  needCover(actor, rights);
  const by = { userId: actor.userId, userName: actor.userName, readsBodies: canDo(actor, 'logs') };
  return {
    ...actor,
    userId: user.id,
    userName: name,
    binding: user.binding,
    granted: new Granted(rights),
    by,
  };
}
