import type { QueueDoor } from '../queue/door.ts';
import type { RedisUser, RedisUsers } from '../queue/redis-users.ts';
import type { RedisUserRow, RedisUserRows } from '../registry/people/redis-users.ts';

export interface RedisUserFlow {
  users: RedisUsers;
  /** Makes the user of a session, or gives it the rights of its rows. @returns false when it is to have none. */
  give(sessionId: string): Promise<boolean>;
  /** Makes all of them, e.g. in a Redis that has lost them. @returns how many. */
  restore(): Promise<number>;
}

export const userOf = ({ sessionId, passwordHash, members }: RedisUserRow): RedisUser => ({
  sessionId,
  passwordHash,
  members,
});

/** Postgres says who is to have a user in Redis and of which pools; this makes it so. Done twice it changes nothing. */
export function createRedisUserFlow(deps: {
  registry: { redisUsers: RedisUserRows };
  queue: Pick<QueueDoor, 'users'>;
}): RedisUserFlow {
  const { redisUsers } = deps.registry;
  const { users } = deps.queue;
  const make = async (rows: readonly RedisUserRow[]): Promise<number> => {
    const theirs = rows.filter((row) => !row.isShared);
    // First: a user that is there finds its scripts.
    if (theirs.length > 0) await users.teach();
    await Promise.all(theirs.map((row) => users.set(userOf(row))));
    return theirs.length;
  };
  return {
    users,
    give: async (sessionId) => (await make(await redisUsers.list(sessionId))) > 0,
    restore: async () => await make(await redisUsers.list()),
  };
}
