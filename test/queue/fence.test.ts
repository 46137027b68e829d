import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { beat, deliverClaim, handBack } from '../../core/queue/task/claim.ts';
import { ClockSteps } from '../../core/queue/live/clock-steps.ts';
import { lastHeard } from '../../core/queue/live/running.ts';
import { redisNow } from '../../core/queue/live/redis-time.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { msFor } from '../../core/runtime/time-of-bytes.ts';
import { show } from '../../core/queue/task/fence.ts';
import { firstSeq } from '../../core/queue/task/stream.ts';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';

const done = { kind: 'completed', status: 200, body: '{}' } as const;
const leaving = { counts: 'none', code: 'shutting_down', message: 'test' } as const;
const cancelled = { kind: 'cancelled', code: 'task_cancelled', message: 'cancelled' } as const;

/** I4: a write succeeds only with the current claim; a claim once closed never opens again. */
describe('the fence', () => {
  let t: QueueFixture;
  before(async () => {
    t = await queueFixture();
  });
  after(() => t.close());
  /** The jobs that wait in the pool. */
  const standing = async (): Promise<string[]> => {
    const queue = `${t.door.keys.namespace}:${t.door.keys.pool('p').queue()}`;
    const lists = [t.redis.lrange(`${queue}:wait`, 0, -1), t.redis.zrange(`${queue}:prioritized`, '0', '-1')];
    return (await Promise.all(lists)).flat();
  };

  it('is not ended by a claim of which Redis has lost events: what is incomplete is not told as complete', async () => {
    const task = await t.submitted();
    await t.claim(task, 'c');
    const emitter = t.emitter(task, { claimId: 'c', epoch: 1 });
    await emitter.emit('one');
    await emitter.flush();
    const { fence, stream } = t.door.keys.pool(task.poolKey).task(task.taskId);
    const [before, entries] = [await t.redis.dumpBuffer(fence), await t.redis.dumpBuffer(stream)];
    await emitter.emit('two');
    await emitter.flush();
    await t.redis.restore(fence, 60_000, before, 'REPLACE');
    await t.redis.restore(stream, 60_000, entries, 'REPLACE');
    expect(await emitter.end({ kind: 'completed', status: 200 })).to.equal(false);
    expect(await t.fence(task)).to.include({ state: 'open', claim: 'c' });
    expect(await emitter.end({ kind: 'failed', code: 'backend_error', message: 'It broke.' })).to.equal(true);
  });

  it('is not taken for silent while something large holds up its beats', async () => {
    const task = await t.submitted();
    await t.claim(task, 'c');
    const emitter = t.emitter(task, { claimId: 'c', epoch: 1 });
    const log = createLog({ process: 'test', level: 'silent', pretty: false });
    const steps = new ClockSteps({ clock: systemClock, log });
    const [text, before] = ['x'.repeat(4_000_000), await redisNow(t.redis)];
    await emitter.emit(text);
    await emitter.flush();
    const [large = 0] = await lastHeard({ ...t.door, redis: t.redis, steps }, [task]);
    const after = await redisNow(t.redis);
    // By then it is heard of again, however long it took to get there.
    expect(after - large).to.be.within(before + msFor(text.length), after + msFor(text.length));
    await beat({ ...t.door, redis: t.redis }, { ...task, claimId: 'c', epoch: 1 });
    const [usual] = await lastHeard({ ...t.door, redis: t.redis, steps }, [task]);
    expect(usual).to.be.at.least(0);
  });

  it('gives a task to one claim, and the same again to a call that was sent twice', async () => {
    const task = await t.submitted();
    const first = await t.claim(task, 'c1');
    expect(first).to.include({ epoch: 1, body: task.body });
    expect(await t.claim(task, 'c1')).to.deep.equal(first);
    expect(await t.claim(task, 'c2')).to.equal('taken');
  });

  it('is not lowered nor renewed by an enqueue that comes again', async () => {
    const task = await t.submitted({ epoch: 3 });
    await t.claim(task, 'c1');
    expect(await t.door.dispatch.enqueue({ ...task, epoch: 2 })).to.equal(false);
    expect(await t.door.dispatch.enqueue(task)).to.equal(true);
    expect(await t.fence(task)).to.include({ epoch: 3, claim: 'c1' });
  });

  it('refuses a job of an earlier enqueue', async () => {
    const task = await t.submitted();
    await t.door.dispatch.enqueue({ ...task, epoch: 2 });
    expect(await t.claim(task, 'c1')).to.equal('stale');
    expect(await t.claim({ ...task, epoch: 2 }, 'c2')).to.include({ epoch: 2 });
  });

  it('lets only the claim speak, and nobody after its end', async () => {
    const task = await t.submitted();
    await t.claim(task, 'c1');
    let lost = 0;
    const zombie = t.emitter(task, { claimId: 'c0', epoch: 1 }, () => (lost += 1));
    await zombie.emit('zombie');
    expect(await zombie.end(done)).to.equal(false);
    expect(lost).to.equal(1);
    const own = t.emitter(task, { claimId: 'c1', epoch: 1 });
    await own.emit('own');
    expect(await own.end(done)).to.equal(true);
    expect(await own.end(done)).to.equal(true); // sent twice
    const late = t.emitter(task, { claimId: 'c1', epoch: 1 }, () => (lost += 1));
    await late.emit('late');
    await late.end(done);
    expect(lost).to.equal(2);
    expect((await t.entries(task)).flatMap((e) => (e.kind === 'events' ? e.data : e.kind))).to.deep.equal([
      'own',
      'end',
    ]);
  });

  it('answers a beat of a lost claim with no', async () => {
    const task = await t.submitted();
    await t.claim(task, 'c1');
    const claim = { ...task, epoch: 1 };
    expect(await beat(t.door, { ...claim, claimId: 'c1' })).to.equal(true);
    expect(await beat(t.door, { ...claim, claimId: 'c0' })).to.equal(false);
    await t.door.dispatch.close(task, 'cancel', cancelled);
    expect(await beat(t.door, { ...claim, claimId: 'c1' })).to.equal(false);
  });

  it('closes for good: nobody claims, emits, ends or requeues after a cancel', async () => {
    const task = await t.submitted();
    const closed = await t.door.dispatch.close(task, 'cancel', cancelled);
    expect(closed.kind).to.equal('closed');
    expect(await t.claim(task)).to.equal('closed');
    const seen = { epoch: 1, claim: '', job: `${task.taskId}-1`, newEpoch: 2 };
    expect(await t.door.dispatch.requeue(task, seen)).to.equal('closed');
    expect(await t.door.dispatch.enqueue({ ...task, epoch: 2 })).to.equal(false);
    expect((await t.door.dispatch.close(task, 'cancel', cancelled)).kind).to.equal('closed');
    expect((await t.entries(task)).map((e) => e.kind)).to.deep.equal(['closed']);
  });

  it('can be closed before it is laid down: the enqueue under way then finds it closed', async () => {
    const ref = { taskId: randomUUID(), poolKey: 'p' };
    expect((await t.door.dispatch.close(ref, 'cancel', cancelled)).kind).to.equal('closed');
    const task = await t.submitted(ref);
    expect(await t.claim(task)).to.equal('closed');
    expect((await t.entries(task)).map((e) => e.kind)).to.deep.equal(['closed']);
    const waiting = await standing();
    expect(waiting).not.to.include(`${task.taskId}-1`);
  });

  it('is not closed by an expiry once it is claimed, nor by a cancel once it has ended', async () => {
    const task = await t.submitted();
    await t.claim(task, 'c1');
    expect((await t.door.dispatch.close(task, 'expire', cancelled)).kind).to.equal('claimed');
    await t.emitter(task, { claimId: 'c1', epoch: 1 }).end(done);
    expect((await t.door.dispatch.close(task, 'cancel', cancelled)).kind).to.equal('ended');
  });

  it('pins the claim that is shown: it is never requeued nor handed back', async () => {
    const task = await t.submitted();
    await t.claim(task, 'c1');
    expect(await show(t.redis, t.door.keys, { ref: task, attempt: { epoch: 1 } })).to.be.an('object');
    const seen = { epoch: 1, claim: 'c1', job: `${task.taskId}-1`, newEpoch: 2 };
    expect(await t.door.dispatch.requeue(task, seen)).to.equal('shown');
    expect(await handBack(t.door, { ...task, claimId: 'c1', epoch: 1 }, leaving)).to.equal('shown');
    expect(await t.door.dispatch.enqueue({ ...task, epoch: 2 })).to.equal(false);
  });

  it('pins a claim for who does what was asked, and none that is no longer the current one', async () => {
    const task = await t.submitted();
    await t.claim(task, 'c1');
    const seen = { epoch: 1, claim: 'c1', job: `${task.taskId}-1`, newEpoch: 2 };
    expect(await t.door.dispatch.requeue(task, seen)).to.equal('ok');
    const deliver = (claimId: string): Promise<boolean> =>
      deliverClaim({ ...t.door, redis: t.redis }, { ...task, claimId });
    expect(await deliver('c1')).to.equal(false);
    expect(await t.fence(task)).to.include({ shown: '' });
    await t.claim(task, 'c2');
    expect(await deliver('c1')).to.equal(false);
    expect(await deliver('c2')).to.equal(true);
    const next = { epoch: 2, claim: 'c2', job: `${task.taskId}-1`, newEpoch: 3 };
    expect(await t.door.dispatch.requeue(task, next)).to.equal('shown');
    expect(await handBack(t.door, { ...task, claimId: 'c2', epoch: 2 }, leaving)).to.equal('shown');
  });

  it('shows no epoch but the current one', async () => {
    const task = await t.submitted();
    await t.claim(task, 'c1');
    const seen = { epoch: 1, claim: 'c1', job: `${task.taskId}-1`, newEpoch: 2 };
    expect(await t.door.dispatch.requeue(task, seen)).to.equal('ok');
    expect(await show(t.redis, t.door.keys, { ref: task, attempt: { epoch: 1 } })).to.equal(null);
    expect(await show(t.redis, t.door.keys, { ref: task, attempt: { epoch: 2 } })).to.equal(null); // nobody has it yet
  });

  it('compares epoch and claim before it requeues, and does it once however often it is sent', async () => {
    const task = await t.submitted();
    await t.claim(task, 'c1');
    const seen = { epoch: 1, claim: 'c1', job: `${task.taskId}-1`, newEpoch: 2 };
    expect(await t.door.dispatch.requeue(task, { ...seen, claim: 'c0' })).to.equal('moved');
    expect(await t.door.dispatch.requeue(task, seen)).to.equal('ok');
    expect(await t.door.dispatch.requeue(task, seen)).to.equal('ok');
    const waiting = await standing();
    expect(waiting.filter((id) => id === seen.job)).to.have.length(1);
    const own = t.emitter(task, { claimId: 'c1', epoch: 1 });
    expect(await own.end(done)).to.equal(false);
    expect(await t.claim({ ...task, epoch: 1 }, 'c2')).to.include({ epoch: 2 });
  });

  it('parks a handed back task until it has a new epoch', async () => {
    const task = await t.submitted();
    await t.claim(task, 'c1');
    expect(await handBack(t.door, { ...task, claimId: 'c1', epoch: 1 }, leaving)).to.equal('ok');
    expect(await t.fence(task)).to.include({ state: 'released' });
    expect(await t.claim(task, 'c2')).to.equal('closed');
    expect(await t.emitter(task, { claimId: 'c1', epoch: 1 }).end(done)).to.equal(false);
    const seen = { epoch: 1, claim: 'c1', job: `${task.taskId}-1`, newEpoch: 2 };
    expect(await t.door.dispatch.requeue(task, seen)).to.equal('ok');
    expect(await t.claim(task, 'c2')).to.include({ epoch: 2 });
  });

  it('numbers events without gaps, and adds none twice when a call is repeated', async () => {
    const task = await t.submitted();
    await t.claim(task, 'c1');
    const emitter = t.emitter(task, { claimId: 'c1', epoch: 1 });
    for (let n = 1; n <= 300; n++) await emitter.emit(`e${n}`);
    await emitter.end(done);
    const again = t.emitter(task, { claimId: 'c1', epoch: 1 });
    await again.emit('e1');
    await again.end(done);
    const entries = await t.entries(task);
    const numbered = entries.flatMap((e) =>
      e.kind === 'events' ? e.data.map((event, at) => `${firstSeq(e) + at} ${event}`) : `${e.seq} ${e.kind}`,
    );
    expect(numbered).to.deep.equal([
      ...Array.from({ length: 300 }, (_, i) => `${i + 1} e${i + 1}`),
      '301 end',
    ]);
  });
});
