import type { Knex } from 'knex';
import { can, type Actor } from '../../access.ts';
import { builtIn } from '../../access/built-in.ts';
import { McpctlError } from '../../errors.ts';
import { group, user } from '../../resources/people/identity.ts';
import type { Connection } from '../database/connect.ts';
import { record } from '../audit/record.ts';
import { findRow, targetOf } from '../resources/rows.ts';
import type { Grant } from '../../access/grants.ts';
import { enterIdentity } from './actors.ts';
import { needCoverOrOwn } from './cover.ts';
import { danglingOf } from './dangling.ts';
import { actAs } from './impersonate.ts';
import { needAdminLeft } from './last-admin.ts';
import { namesNow } from './retired-names.ts';
import {
  allDocuments,
  holdersOf,
  rightsOfGroup,
  waysOfGroup,
  waysOfUser,
  type Holder,
  type Way,
} from './rights.ts';
import { userCalled } from '../people/users-there.ts';

/** Of a user so many are shown. */
const MOST_SHOWN = 500;

interface Membership {
  group: string;
  user: string;
  actor: Actor;
}

/** Who is in which group. */
export interface Groups {
  /** Idempotent. @throws McpctlError `group_not_found`, `user_not_found`, `forbidden`, `escalation`. */
  add(membership: Membership): Promise<void>;
  /** The same; @throws McpctlError `last_admin` besides. */
  remove(membership: Membership): Promise<void>;
  /** Names of groups by the ids of users, in order, the first 500 of each; `everyone` is not among them. */
  groupsOf(ids: readonly string[]): Promise<ReadonlyMap<string, string[]>>;
  /** By what a user is granted what they are granted. */
  waysOf(userId: string): Promise<Way[]>;
  /** What is granted to a group, and to all. */
  waysOfGroup(groupId: string): Promise<Way[]>;
  /** What every document grants. */
  documents: () => ReturnType<typeof allDocuments>;
  /** Who has these documents. */
  holdersOf(asked: { ids: readonly string[]; ownerId: string | null; limit: number }): Promise<Holder[]>;
  /** Another user, for who may act as them. @throws McpctlError as `actAs`. */
  actAs(actor: Actor, name: string): Promise<Actor>;
  /** Those of these grants that name what is not there. */
  danglingOf(grants: readonly Grant[]): Promise<Grant[]>;
  /** Those of these names that users or groups had lately, with how they are called now. */
  namesNow(kind: 'user' | 'group', names: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** Grows with each write of identity, whoever makes it. */
  epoch(): Promise<string>;
}

/** @returns the ids, once the actor may change who is in that group. */
async function needMayChange(
  trx: Knex.Transaction,
  { group: groupName, user: userName, actor: by }: Membership,
): Promise<{
  groupId: string;
  userId: string;
  actor: Actor;
  tell: (how: 'added' | 'removed') => Promise<void>;
}> {
  const actor = await enterIdentity(trx, by);
  const row = await findRow(trx, group, { actor, asked: groupName, hold: 'to refer' });
  if (!row) throw new McpctlError('group_not_found', `There is no group named '${groupName}'.`);
  if (!can(actor, 'edit', { resource: group, target: targetOf(row) }))
    throw new McpctlError('forbidden', `Your token may not edit the group '${groupName}'.`);
  if (row.id === builtIn.everyone)
    throw new McpctlError('forbidden', 'Every user is in everyone; disable one who is not to be.');
  const [who] = await userCalled(trx, userName).select<{ id: string }[]>('id');
  const mayKnow = can(actor, 'view', { resource: user, target: { name: userName } });
  if (!who || !mayKnow) throw new McpctlError('user_not_found', `There is no user named '${userName}'.`);
  await needCoverOrOwn(trx, actor, await rightsOfGroup(trx, row.id));
  const tell = (how: 'added' | 'removed'): Promise<void> =>
    record(trx, actor, {
      ...{ verb: 'edit', resource: group.word, id: row.id, name: groupName, ownerId: who.id },
      changes: [{ field: 'members', ...(how === 'added' ? { to: userName } : { from: userName }) }],
    });
  return { groupId: row.id, userId: who.id, actor, tell };
}

async function groupsOf(db: Knex, ids: readonly string[]): Promise<Map<string, string[]>> {
  const { rows } = await db.raw<{ rows: { id: string; names: string[] }[] }>(
    `select asked.id, array(
       select g.name from memberships m join groups g on g.id = m.group_id where m.user_id = asked.id
         order by g.name limit ${MOST_SHOWN}) as names
     from unnest(cast(:ids as uuid[])) asked (id)`,
    { ids: [...ids] },
  );
  return new Map(rows.map(({ id, names }) => [id, names]));
}

export function createGroups({ db, transaction }: Connection): Groups {
  return {
    add: (membership) =>
      transaction(async (trx) => {
        const { groupId, userId, actor, tell } = await needMayChange(trx, membership);
        const row = { groupId, userId, addedBy: actor.userId };
        const made: unknown[] = await trx('memberships')
          .insert(row)
          .onConflict(['group_id', 'user_id'])
          .ignore()
          .returning('userId');
        if (made.length > 0) await tell('added');
      }),
    remove: (membership) =>
      transaction(async (trx) => {
        const { groupId, userId, tell } = await needMayChange(trx, membership);
        const gone = await trx('memberships').where({ groupId, userId }).delete();
        await needAdminLeft(trx);
        if (gone > 0) await tell('removed');
      }),
    groupsOf: (ids) => groupsOf(db, ids),
    waysOf: (userId) => waysOfUser(db, userId),
    waysOfGroup: (groupId) => waysOfGroup(db, groupId),
    documents: () => allDocuments(db),
    holdersOf: (asked) => holdersOf(db, asked),
    actAs: (actor, name) => actAs(db, actor, name),
    danglingOf: (grants) => danglingOf(db, grants),
    namesNow: (kind, names) => namesNow(db, kind, names),
    async epoch() {
      const { rows } = await db.raw<{ rows: { revision: string }[] }>('select revision from identity_epoch');
      return rows[0]?.revision ?? '';
    },
  };
}
