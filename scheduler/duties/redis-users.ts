import { createRedisUserFlow, userOf } from '../../core/flow/redis-users.ts';
import { sendControl } from '../../core/queue/control.ts';
import type { RedisUserRow } from '../../core/registry/redis-users.ts';
import type { Duty, DutyDeps } from './duty.ts';

/** From the word to a session that it is to take its tasks otherwise, until its user is gone. */
const GOES_OVER_MS = 2_500;

/**
 * Keeps the Redis users of sessions what Postgres says: made again when Redis has lost them, rewritten when rows change
 * pools, taken away when a session has left, lapsed or may no more. Edges do the same as it happens; this is for what
 * happens elsewhere, or while they die. A session whose pool another owner has joined is told first.
 */
export function createRedisUsersDuty({ registry, queue, clock }: DutyDeps): Duty {
  const { users } = createRedisUserFlow({ registry, queue });
  /** As they were set here last; an edge may have set them since, to the same. */
  const known = new Map<string, string>();
  const toldAt = new Map<string, number>();

  const mayStay = async (row: RedisUserRow): Promise<boolean> => {
    if (!row.isShared) return true;
    const told = toldAt.get(row.sessionId);
    if (told !== undefined) return clock.elapsed() - told < GOES_OVER_MS;
    toldAt.set(row.sessionId, clock.elapsed());
    await sendControl(queue, { session: row.sessionId, boot: row.boot, message: { kind: 'again' } });
    return true;
  };

  return {
    name: 'redis-users',
    everyMs: 1_000,
    async run() {
      // In this order: an edge writes the row before it makes the user.
      const present = new Set(await users.list());
      const rows = await registry.redisUsers.list();
      const stays = new Set<string>();
      for (const row of rows)
        if (present.has(row.sessionId) && (await mayStay(row))) stays.add(row.sessionId);
      const theirs = rows.filter((row) => !row.isShared);
      const gone = [...present].filter((id) => !stays.has(id));
      await users.drop(gone);
      if (theirs.length > 0) await users.teach();
      const changed = theirs.filter(
        (row) => known.get(row.sessionId) !== JSON.stringify(row) || !present.has(row.sessionId),
      );
      await Promise.all(changed.map((row) => users.set(userOf(row))));
      known.clear();
      for (const row of theirs) known.set(row.sessionId, JSON.stringify(row));
      for (const id of toldAt.keys()) if (!rows.some((row) => row.sessionId === id)) toldAt.delete(id);
      return gone.length + changed.length;
    },
  };
}
