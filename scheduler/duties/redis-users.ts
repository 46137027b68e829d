import { createHash } from 'node:crypto';
import { createRedisUserFlow, userOf } from '../../core/flow/redis-users.ts';
import { hostedUser, type RedisUsers } from '../../core/queue/redis-users.ts';
import type { RedisUserRow } from '../../core/registry/people/redis-users.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

/** From the word to a session that it is to take its tasks otherwise, until its user is gone. */
const GOES_OVER_MS = 2_500;

const each = <T>(
  { clock, log }: DutyDeps,
  idOf: (item: T) => string,
  act: (item: T) => Promise<void>,
): EachItem<T> =>
  new EachItem<T>({
    name: 'redis-users',
    idOf,
    async act([item]) {
      if (item === undefined) return 0;
      await act(item);
      return 1;
    },
    clock,
    log,
  });

const sessionOf = ({ sessionId }: RedisUserRow): string => sessionId;

/** What was taken of an llm that is public no more may run so long to its end. */
const KEEPS_MS = 10 * 60_000;

/**
 * Keeps the user of hosted workers to the pools of public llms: they register nowhere, so nobody else makes it. Whoever leads
 * anew knows not what went before, and so takes nothing away for as long as what went may run.
 * @returns what does it, once a second.
 */
function createHostedUser(
  { config, registry, clock, log }: DutyDeps,
  users: RedisUsers,
): (isThere: boolean) => Promise<void> {
  const { hostedRedisPassword: password } = config;
  const passwordHash = createHash('sha256')
    .update(password ?? '')
    .digest('hex');
  let asSet: string | null = null;
  let changedAt = clock.elapsed();
  /** Of what went nothing is left. */
  let isBare = false;
  let isRefused = false;

  const mayMake = async (): Promise<boolean> => {
    const why = asSet === null ? await users.whyNot() : null;
    if (why !== null && !isRefused)
      log.warn(
        `${why}: hosted workers with MCPCTL_HOSTED_REDIS_PASSWORD are refused. Let the user of REDIS_URL use ACL, or take that ` +
          'setting away from scheduler and hosted workers.',
      );
    isRefused = why !== null;
    return why === null;
  };
  return async (isThere) => {
    if (password === undefined || config.redisNodes.length > 0) {
      if (isThere) await users.drop([hostedUser]);
      return;
    }
    const members = await registry.redisUsers.hosted();
    const wanted = JSON.stringify(members);
    const now = clock.elapsed();
    if (asSet !== null && wanted !== asSet) changedAt = now;
    const isOver = now - changedAt >= KEEPS_MS;
    if (isThere && wanted === asSet && (isBare || !isOver)) return;
    if (!(await mayMake())) return;
    await users.teach();
    const keepsOthers = isThere && !isOver;
    await users.setHosted({ passwordHash, members, keepsOthers });
    [asSet, isBare] = [wanted, !keepsOthers];
  };
}

/**
 * Keeps the Redis users of sessions what Postgres says: made again when Redis has lost them, rewritten when rows change
 * pools, taken away when a session has left, lapsed or may no more. Edges do the same as it happens; this is for what
 * happens elsewhere, or while they die. A session whose pool another owner has joined is told first.
 */
export function createRedisUsersDuty(deps: DutyDeps): Duty {
  const { registry, queue, flow, clock } = deps;
  const { users } = createRedisUserFlow({ registry, queue });
  const keepHosted = createHostedUser(deps, users);
  /** As they were set here last; an edge may have set them since, to the same. */
  const rowsAsSet = new Map<string, string>();
  const toldAt = new Map<string, number>();

  const mayStay = (row: RedisUserRow): boolean => {
    const at = toldAt.get(row.sessionId);
    return !row.isShared || at === undefined || clock.elapsed() - at < GOES_OVER_MS;
  };
  const telling = each<RedisUserRow>(deps, sessionOf, async ({ sessionId, boot }) => {
    // Counted from the first try: it goes over, or loses its user, also where nobody can be told.
    toldAt.set(sessionId, clock.elapsed());
    await queue.control.send({ session: sessionId, boot, message: { kind: 'again' } });
  });
  const dropping = each<string>(
    deps,
    (sessionId) => sessionId,
    (sessionId) => users.drop([sessionId]),
  );
  const setting = each<RedisUserRow>(deps, sessionOf, async (row) => {
    await users.set(userOf(row));
    rowsAsSet.set(row.sessionId, JSON.stringify(row));
  });

  return {
    name: 'redis-users',
    everyMs: 1_000,
    async run(signal) {
      // In this order: an edge writes the row before it makes the user.
      const present = new Set(await users.list());
      const isHostedThere = present.delete(hostedUser);
      const rows = await registry.redisUsers.list();
      const bySession = new Map(rows.map((row) => [row.sessionId, row]));
      for (const id of toldAt.keys()) if (!bySession.has(id)) toldAt.delete(id);
      const there = rows.filter((row) => present.has(row.sessionId));
      const untold = there.filter((row) => row.isShared && !toldAt.has(row.sessionId));
      const stays = new Set(there.filter(mayStay).map(({ sessionId }) => sessionId));
      const round = await telling.run(untold, signal);
      const dropped = await dropping.run(
        [...present].filter((id) => !stays.has(id)),
        signal,
      );
      const theirs = rows.filter((row) => !row.isShared);
      if (theirs.length > 0) await users.teach();
      for (const id of rowsAsSet.keys()) if (bySession.get(id)?.isShared !== false) rowsAsSet.delete(id);
      const set = await setting.run(
        theirs.filter(
          (row) => rowsAsSet.get(row.sessionId) !== JSON.stringify(row) || !present.has(row.sessionId),
        ),
        signal,
      );
      await keepHosted(isHostedThere);
      return announced({ flow }, 'redis-users', { ...round, did: 0 }, dropped, set);
    },
  };
}
