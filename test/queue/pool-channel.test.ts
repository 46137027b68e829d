import { expect } from 'chai';
import { Follower, type Followed } from '../../core/queue/task/follow.ts';
import { handBack } from '../../core/queue/task/claim.ts';
import type { Submission } from '../../core/queue/task/submission.ts';
import { attachWaiter, detachWaiter } from '../../core/queue/task/waiters.ts';
import type { Policy } from '../../core/task/disconnect.ts';
import { createLog } from '../../core/runtime/log.ts';
import { until } from '../support/system.ts';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';

const done = { kind: 'completed', status: 200 } as const;
const cancelled = { kind: 'cancelled', code: 'task_cancelled', message: 'cancelled' } as const;
const log = createLog({ process: 'test', level: 'silent', pretty: false });
const policy: Policy = { onDisconnect: 'cancel', graceSeconds: null };
const WITHIN_MS = 10_000;

describe('an edge that hears of its tasks by one channel of their pool', function () {
  this.timeout(30_000);
  let t: QueueFixture;
  before(async () => {
    t = await queueFixture();
  });
  after(() => t.close());

  /** As an edge makes one. */
  const made = async (more: Partial<Submission> = {}) => {
    const task = await t.submitted({ policy, attachment: 'a1', edge: t.door.channels.edge, ...more });
    return { task, follower: await Follower.openOwn({ ...t.door, log, eventKeepMs: 60_000 }, task) };
  };
  const nextOf = async (follower: Follower): Promise<Followed> => {
    const item = await follower.next({ withinMs: WITHIN_MS });
    if (item === null) throw new TypeError('nothing came');
    return item;
  };
  const emit = async (task: Submission, text = 'e1'): Promise<void> => {
    const emitter = t.emitter(task, { claimId: 'c', epoch: 1 });
    await emitter.emit(text);
    await emitter.flush();
  };
  const channels = async ({ poolKey }: Submission): Promise<string[]> => {
    const all = (await t.redis.call('PUBSUB', 'SHARDCHANNELS')) as string[];
    return all.filter((channel) => channel.includes(`r:{${t.door.keys.pool(poolKey).hash}}`));
  };
  const waiterOf = (task: Submission) => ({ ...task, attachment: 'a1', graceMs: 0 });

  it('is told of each by its name, and listens once for all of a pool', async () => {
    const poolKey = 'pool-of-two';
    const [one, two] = [await made({ poolKey }), await made({ poolKey })];
    expect(await channels(one.task)).to.deep.equal([
      t.door.keys.pool(poolKey).edgeChannel(t.door.channels.edge),
    ]);
    for (const { task } of [one, two]) {
      await t.claim(task, 'c');
      const emitter = t.emitter(task, { claimId: 'c', epoch: 1 });
      await emitter.emit(task.taskId);
      await emitter.end(done);
    }
    for (const { task, follower } of [one, two]) {
      expect(await nextOf(follower)).to.deep.include({ kind: 'events', data: [task.taskId] });
      expect(await nextOf(follower)).to.include({ kind: 'end' });
      follower.close();
    }
  });

  it('hears of a hand-back, of the new attempt, and of a close', async () => {
    const { task, follower } = await made();
    await t.claim(task, 'c');
    await handBack(
      { redis: t.redis, keys: t.door.keys },
      { ...task, claimId: 'c', epoch: 1 },
      { counts: 'none', code: 'shutting_down', message: 'leaving' },
    );
    expect(await nextOf(follower)).to.deep.equal({ kind: 'back' });
    const seen = { epoch: 1, claim: 'c', job: `${task.taskId}-1`, newEpoch: 2 };
    expect(await t.door.dispatch.requeue(task, seen)).to.equal('ok');
    expect(await nextOf(follower)).to.deep.equal({ kind: 'requeued' });
    await t.door.dispatch.close(task, 'cancel', cancelled);
    expect(await nextOf(follower)).to.include({ kind: 'closed' });
    follower.close();
  });

  it('pins the claim whose first event an edge is told, and says so', async () => {
    const { task, follower } = await made();
    await t.claim(task, 'c', 'llm-1');
    await emit(task);
    const first = await nextOf(follower);
    expect(first).to.have.nested.property('pinned.llmId', 'llm-1');
    expect(first).to.have.nested.property('pinned.claimedAt').that.is.instanceOf(Date);
    expect(await t.fence(task)).to.include({ claim: 'c', shown: 'c' });
    follower.close();
  });

  it('pins nothing where no edge hears, or its caller has left', async () => {
    const dead = await t.submitted({ policy, attachment: 'a1', edge: 'f'.repeat(24) });
    const { task: left, follower } = await made();
    expect(await detachWaiter(t.door, { ...waiterOf(left), edge: t.door.channels.edge })).to.equal('last');
    for (const task of [dead, left]) {
      await t.claim(task, 'c');
      await emit(task);
      expect(await t.fence(task)).to.include({ claim: 'c', shown: '' });
    }
    follower.close();
  });

  it('is named anew in a fence that was lost and laid down by somebody else', async () => {
    const { task, follower } = await made();
    await t.redis.del(t.door.keys.pool(task.poolKey).task(task.taskId).fence);
    const { edge: _edge, attachment: _attachment, ...again } = task;
    await t.door.dispatch.enqueue(again);
    await attachWaiter(t.door, { ...waiterOf(task), edge: t.door.channels.edge });
    await t.claim(task, 'c');
    await emit(task);
    expect(await nextOf(follower))
      .to.have.property('pinned')
      .that.is.not.equal(undefined);
    follower.close();
  });

  it('keeps its name where a task is laid down anew', async () => {
    const { task, follower } = await made();
    await t.claim(task, 'c');
    const { edge: _edge, attachment: _attachment, ...again } = task;
    expect(await t.door.dispatch.enqueue({ ...again, epoch: 2 })).to.equal(true);
    const { fence } = t.door.keys.pool(task.poolKey).task(task.taskId);
    expect(await t.redis.hget(fence, 'edge')).to.equal(t.door.channels.edge);
    follower.close();
  });

  it('hears by the task’s own channel of a member that knows no other, once nothing came for long', async () => {
    const { task, follower } = await made();
    await t.claim(task, 'c');
    const { fence, channel } = t.door.keys.pool(task.poolKey).task(task.taskId);
    const waiting = nextOf(follower);
    await until(
      () => channels(task),
      (all) => all.includes(channel),
    );
    // Who had it tells both, and lets go of it to one of the release before.
    await handBack(
      { redis: t.redis, keys: t.door.keys },
      { ...task, claimId: 'c', epoch: 1 },
      { counts: 'none', code: 'shutting_down', message: 'leaving' },
    );
    expect(await waiting).to.deep.equal({ kind: 'back' });
    const seen = { epoch: 1, claim: 'c', job: `${task.taskId}-1`, newEpoch: 2 };
    expect(await t.door.dispatch.requeue(task, seen)).to.equal('ok');
    await t.redis.hdel(fence, 'edge'); // as for a script that looks for none
    await t.claim(task, 'd'); // its job is the one that it had
    const emitter = t.emitter(task, { claimId: 'd', epoch: 2 });
    await emitter.emit('early');
    await emitter.flush();
    const soon = { withinMs: 4_000 }; // before the record is read for its silence
    let next = await follower.next(soon);
    while (next?.kind === 'back' || next?.kind === 'requeued') next = await follower.next(soon);
    expect(next).to.deep.include({ data: ['early'] });
    follower.close();
  });
});
