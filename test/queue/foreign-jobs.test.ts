import { createHash, randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { createRedisUsers, type RedisUsers } from '../../core/queue/redis-users.ts';
import type { Submission } from '../../core/queue/task/submission.ts';
import { addressOf } from '../../core/queue/link/where.ts';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';

describe("what a session's Redis user writes into its pool's jobs", () => {
  let t: QueueFixture;
  let users: RedisUsers;
  /** As anybody does who has a worker's password, with whatever they like. */
  let redis: Redis;
  before(async () => {
    t = await queueFixture();
    users = createRedisUsers(t.door);
    await users.teach();
    const [sessionId, password] = [randomUUID(), randomUUID()];
    const passwordHash = createHash('sha256').update(password).digest('hex');
    await users.set({ sessionId, passwordHash, members: [{ llmId: randomUUID(), poolKey: 'mine' }] });
    redis = new Redis(addressOf(process.env['REDIS_URL'] ?? ''), {
      username: users.nameOf(sessionId),
      password,
      enableReadyCheck: false,
      disableClientInfo: true,
    });
  });
  after(async () => {
    redis.disconnect();
    await users.drop(await users.list());
    await t.close();
  });

  it('makes nobody who has more rights reach over the pool', async () => {
    const { keys, dispatch } = t.door;
    const jobOf = (task: Submission): string => `${task.taskId}-${String(task.epoch)}`;
    const queueOf = (task: Submission): string => keys.pool(task.poolKey).queue();
    const keyOf = (task: Submission): string => `${keys.namespace}:${queueOf(task)}:${jobOf(task)}`;
    const victim = await t.submitted({ poolKey: 'theirs' });
    const { fence } = keys.pool('theirs').task(victim.taskId);
    const targets = [keyOf(victim), fence, keys.epoch];
    await t.redis.set(keys.epoch, '1');
    const lay = async (): Promise<Submission> => {
      const task = await t.submitted({ poolKey: 'mine' });
      const job = keyOf(task);
      const id = jobOf(victim);
      const queueKey = `${keys.namespace}:${queueOf(victim)}`;
      await redis.hset(job, {
        parentKey: keyOf(victim),
        parent: JSON.stringify({ id, queueKey, fpof: true }),
        deid: id,
        rjk: keyOf(victim),
      });
      await redis.sadd(`${job}:dependencies`, ...targets);
      for (const list of ['processed', 'failed'])
        await redis.hset(`${job}:${list}`, Object.fromEntries(targets.map((key) => [key, '1'])));
      return task;
    };
    const standing = (task: Submission) => ({ queue: queueOf(task), jobId: jobOf(task) });
    const removed = await lay();
    expect(await dispatch.remove(standing(removed))).to.equal(true);
    for (const end of ['complete', 'fail'] as const) {
      const task = await lay();
      const taken = await t.fetchers.next([queueOf(task)]);
      await (end === 'fail' ? taken?.fail('internal') : taken?.complete());
      expect(await dispatch.remove(standing(task)), end).to.be.a('boolean');
    }
    const closed = await lay();
    const outcome = { kind: 'cancelled', code: 'task_cancelled', message: '' } as const;
    const answer = await dispatch.close(closed, 'cancel', outcome);
    if (answer.kind !== 'closed') expect.fail(answer.kind);
    await dispatch.withdraw(closed, answer);
    for (const key of targets) expect(await t.redis.exists(key), key).to.equal(1);
    expect(await t.redis.hgetall(keyOf(victim))).to.not.have.any.keys('defa', 'finishedOn');
    expect(await t.redis.lpos(`${keys.namespace}:${queueOf(victim)}:wait`, jobOf(victim))).to.be.a('number');
  });
});
