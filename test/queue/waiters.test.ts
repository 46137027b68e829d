import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { Policy } from '../../core/task/disconnect.ts';
import { endClaim } from '../../core/queue/task/claim.ts';
import type { Submission } from '../../core/queue/task/submission.ts';
import { redisNow } from '../../core/queue/live/redis-time.ts';
import { attachWaiter, detachWaiter, WAITER_LEASE_MS, type Waiter } from '../../core/queue/task/waiters.ts';
import { until } from '../support/system.ts';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';

const cancel: Policy = { onDisconnect: 'cancel', graceSeconds: null };
const grace = (graceSeconds: number): Policy => ({ onDisconnect: 'grace', graceSeconds });
const gone = { kind: 'cancelled', code: 'task_cancelled', message: 'cancelled' } as const;

describe('who waits for a task', () => {
  let t: QueueFixture;
  before(async () => {
    t = await queueFixture();
  });
  after(() => t.close());

  const waiter = (task: Submission, graceMs = 0): Waiter => ({ ...task, attachment: randomUUID(), graceMs });
  const keysOf = (task: Submission) => {
    const pool = t.door.keys.pool(task.poolKey);
    return {
      orphans: pool.orphans,
      attached: pool.task(task.taskId).attached,
      fence: pool.task(task.taskId).fence,
    };
  };
  /** Milliseconds until the task is overdue; null when it never is. */
  const dueIn = async (task: Submission): Promise<number | null> => {
    const due = await t.redis.zscore(keysOf(task).orphans, task.taskId);
    return due === null ? null : Number(due) - (await redisNow(t.redis));
  };
  const closeOrphan = async (task: Submission) => (await t.door.dispatch.close(task, 'orphan', gone)).kind;
  /** As if every edge that renews had been dead for a lease's time. */
  const lapse = async (task: Submission): Promise<void> => {
    const { attached, orphans } = keysOf(task);
    for (const id of await t.redis.zrange(attached, '0', '-1')) await t.redis.zadd(attached, 1, id);
    await t.redis.zincrby(orphans, -WAITER_LEASE_MS, task.taskId);
  };

  it('holds a lease from the enqueue on', async () => {
    const task = await t.submitted({ policy: cancel, attachment: 'a1' });
    expect(await t.fence(task)).to.include({ policy: 'cancel' });
    expect(await dueIn(task)).to.be.within(WAITER_LEASE_MS - 1_000, WAITER_LEASE_MS);
    expect(await t.redis.zrange(keysOf(task).attached, '0', '-1')).to.deep.equal(['a1']);
    expect(await closeOrphan(task)).to.equal('attached');
  });

  it('makes the task overdue at once when the last one leaves, and only then', async () => {
    const task = await t.submitted({ policy: cancel, attachment: 'a1' });
    const other = waiter(task);
    expect(await attachWaiter(t.door, other)).to.equal(true);
    expect(await detachWaiter(t.door, { ...task, attachment: 'a1', graceMs: 0 })).to.equal('others');
    expect(await closeOrphan(task)).to.equal('attached');
    expect(await detachWaiter(t.door, other)).to.equal('last');
    expect(await closeOrphan(task)).to.equal('closed');
    expect(await t.fence(task)).to.include({ state: 'closed' });
  });

  it('keeps the task when somebody attaches between the last leaving and the close', async () => {
    const task = await t.submitted({ policy: cancel, attachment: 'a1' });
    expect(await detachWaiter(t.door, { ...task, attachment: 'a1', graceMs: 0 })).to.equal('last');
    expect(await attachWaiter(t.door, waiter(task))).to.equal(true);
    expect(await closeOrphan(task)).to.equal('attached');
    expect(await t.fence(task)).to.include({ state: 'open' });
  });

  it('makes the task overdue when the lease lapses, and no sooner while another edge renews', async () => {
    const task = await t.submitted({ policy: cancel, attachment: 'a1' });
    await lapse(task);
    const other = waiter(task);
    await attachWaiter(t.door, other);
    expect(await closeOrphan(task)).to.equal('attached');
    await lapse(task);
    expect(await closeOrphan(task)).to.equal('closed');
  });

  it('counts those whose lease has lapsed as gone when another one leaves', async () => {
    const task = await t.submitted({ policy: cancel, attachment: 'of-a-dead-edge' });
    await t.redis.zadd(keysOf(task).attached, 1, 'of-a-dead-edge');
    const other = waiter(task);
    await attachWaiter(t.door, other);
    expect(await detachWaiter(t.door, other)).to.equal('last');
  });

  it('gives the grace after the last one left, and takes it back when somebody attaches', async () => {
    const task = await t.submitted({ policy: grace(60), attachment: 'a1' });
    expect(await t.fence(task)).to.include({ policy: 'grace:60' });
    const first = { ...task, attachment: 'a1', graceMs: 60_000 };
    expect(await detachWaiter(t.door, first)).to.equal('last');
    expect(await dueIn(task)).to.be.within(58_000, 60_000);
    expect(await closeOrphan(task)).to.equal('attached');
    await attachWaiter(t.door, waiter(task, 60_000));
    expect(await dueIn(task)).to.be.within(68_000, 70_000);
  });

  it('does not move the end of the grace when a leave is sent twice', async () => {
    const task = await t.submitted({ policy: grace(1), attachment: 'a1' });
    const first = { ...task, attachment: 'a1', graceMs: 1_000 };
    await detachWaiter(t.door, first);
    const due = await t.redis.zscore(keysOf(task).orphans, task.taskId);
    const began = await redisNow(t.redis);
    await until(
      () => redisNow(t.redis),
      (now) => now > began,
    );
    expect(await detachWaiter(t.door, first)).to.equal('last');
    expect(await t.redis.zscore(keysOf(task).orphans, task.taskId)).to.equal(due);
    expect(
      await until(
        () => closeOrphan(task),
        (kind) => kind === 'closed',
      ),
    ).to.equal('closed');
  });

  it('never ends a task that goes on without its callers', async () => {
    const task = await t.submitted({ attachment: 'a1' });
    expect(await dueIn(task)).to.equal(null);
    expect(await closeOrphan(task)).to.equal('attached');
  });

  it('restores the policy with the fence when Redis has lost it, and leaves time to attach again', async () => {
    const task = await t.submitted({ policy: cancel, attachment: 'a1' });
    await t.redis.del(...Object.values(keysOf(task)));
    expect(await closeOrphan(task), 'nothing is known: nobody is an orphan').to.equal('attached');
    await t.door.dispatch.enqueue({ ...task, epoch: 2, attachment: undefined });
    expect(await t.fence(task)).to.include({ policy: 'cancel', epoch: 2 });
    expect(await dueIn(task)).to.be.within(WAITER_LEASE_MS - 1_000, WAITER_LEASE_MS);
    await lapse(task);
    expect(await closeOrphan(task)).to.equal('closed');
  });

  it('keeps what was said by those who attached and left before the fence was restored', async () => {
    const task = await t.submitted({ policy: grace(30), attachment: 'a1' });
    await t.redis.del(...Object.values(keysOf(task)));
    const early = waiter(task, 30_000);
    await attachWaiter(t.door, early);
    await detachWaiter(t.door, early);
    const due = await t.redis.zscore(keysOf(task).orphans, task.taskId);
    await t.door.dispatch.enqueue({ ...task, epoch: 2, attachment: undefined });
    expect(await t.redis.zscore(keysOf(task).orphans, task.taskId)).to.equal(due);
  });

  it('is forgotten with the task: when it ends, and when it is closed', async () => {
    const ended = await t.submitted({ policy: cancel, attachment: 'a1' });
    await t.claim(ended, 'c1');
    const { keys } = t.door;
    const outcome = { kind: 'completed', status: 200 } as const;
    await endClaim({ redis: t.redis, keys, eventKeepMs: 60_000 }, { ...ended, claimId: 'c1' }, outcome);
    const closed = await t.submitted({ policy: cancel, attachment: 'a1' });
    await t.door.dispatch.close(closed, 'cancel', gone);
    for (const task of [ended, closed]) {
      expect(await dueIn(task)).to.equal(null);
      expect(await t.redis.exists(keysOf(task).attached)).to.equal(0);
      expect(await attachWaiter(t.door, waiter(task))).to.equal(false);
      expect(await detachWaiter(t.door, waiter(task))).to.equal('over');
      expect(await dueIn(task)).to.equal(null);
    }
    expect(await closeOrphan(ended)).to.equal('ended');
  });

  it('survives an expire that comes too late', async () => {
    const task = await t.submitted({ policy: cancel, attachment: 'a1' });
    await t.claim(task, 'c1');
    expect((await t.door.dispatch.close(task, 'expire', gone)).kind).to.equal('claimed');
    expect(await t.redis.exists(keysOf(task).attached)).to.equal(1);
    expect(await closeOrphan(task)).to.equal('attached');
  });
});
