import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { claimTask } from '../../core/queue/task/claim.ts';
import { readFences, type Fence } from '../../core/queue/task/fence.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { createRunningTasks } from '../../core/queue/live/running.ts';
import { ClockSteps } from '../../core/queue/live/clock-steps.ts';
import { redisNow } from '../../core/queue/live/redis-time.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { createReapDuty } from '../../scheduler/duties/reap.ts';
import type { Duty } from '../../scheduler/duties/duty.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { dutyDeps, submitTask } from '../support/tasks.ts';

const LONG_AGO = 1;

describe('the duty reap', () => {
  let t: EdgeFixture;
  let duty: Duty;
  const dead: unknown[] = [];
  const run = () => duty.run(new AbortController().signal);

  before(async () => {
    t = await edgeFixture();
    t.bus.on('worker.dead', (event) => void dead.push(event));
    duty = createReapDuty(dutyDeps(t));
  });
  beforeEach(() => dead.splice(0));
  after(() => t.close());

  const fenceOf = async (row: TaskRow): Promise<Fence | null> => {
    const { redis, keys } = t.deps.queue;
    return (await readFences(redis, keys, [{ taskId: row.id, poolKey: row.poolName }]))[0] ?? null;
  };
  /** A member takes the task, and is not heard of again. */
  const takenByTheDead = async (row: TaskRow): Promise<void> => {
    const { redis, keys } = t.deps.queue;
    const ref = { taskId: row.id, poolKey: row.poolName };
    const by = { claimId: randomUUID(), session: randomUUID(), boot: 'b1', llmId: randomUUID() };
    const claimed = await claimTask({ redis, keys }, { ...ref, jobId: (await fenceOf(row))?.job ?? '' }, by);
    expect(claimed).to.include({ body: '{}' });
    await redis.zadd(keys.pool(row.poolName).run, LONG_AGO, row.id);
  };
  const rowOf = async (row: TaskRow): Promise<TaskRow> =>
    (await t.registry.tasks.byId(row.id)) ?? expect.fail('the row is gone');

  it('starts a task over, counts one death, and ends it at the third', async () => {
    const row = await submitTask(t);
    for (const crashes of [1, 2]) {
      await takenByTheDead(row);
      expect(await run()).to.equal(1);
      expect(await rowOf(row)).to.include({ status: 'pending', crashes, epoch: crashes + 1 });
      expect(await fenceOf(row)).to.include({ state: 'open', claim: '', epoch: crashes + 1 });
    }
    await takenByTheDead(row);
    expect(await run()).to.equal(1);
    expect(await fenceOf(row)).to.include({ state: 'ended' });
    expect(dead).to.have.length(3);
  });

  it('counts nothing where a task was sent into a black stream, and never heard of', async () => {
    const { redis, keys } = t.deps.queue;
    const row = await submitTask(t);
    const take = async (epoch: number, heard: boolean): Promise<void> => {
      const ref = { taskId: row.id, poolKey: row.poolName, jobId: (await fenceOf(row))?.job ?? '' };
      const by = { claimId: randomUUID(), session: randomUUID(), boot: 'b1', llmId: randomUUID() };
      expect(await claimTask({ redis, keys }, ref, { ...by, via: 'sse' })).to.include({ epoch });
      const { fence } = keys.pool(row.poolName).task(row.id);
      await redis.hset(fence, 'claimedAt', heard ? LONG_AGO - 1 : LONG_AGO);
      await redis.zadd(keys.pool(row.poolName).run, LONG_AGO, row.id);
    };
    for (const epoch of [1, 2, 3, 4]) {
      await take(epoch, false);
      expect(await run()).to.equal(1);
      expect(await rowOf(row)).to.include({ status: 'pending', crashes: 0, epoch: epoch + 1 });
    }
    await take(5, true);
    expect(await run()).to.equal(1);
    expect(await rowOf(row)).to.include({ crashes: 1 });
  });

  it('counts nothing where nothing was heard since Redis went back: its end may be among what was lost', async () => {
    const { redis, keys } = t.deps.queue;
    await redis.set(keys.epoch, LONG_AGO + 1);
    const row = await submitTask(t);
    for (const epoch of [1, 2, 3, 4]) {
      await takenByTheDead(row);
      expect(await run()).to.equal(1);
      expect(await rowOf(row)).to.include({ status: 'pending', crashes: 0, epoch: epoch + 1 });
    }
    expect(dead).to.deep.equal([]);
    await redis.set(keys.epoch, LONG_AGO);
    await takenByTheDead(row);
    expect(await run()).to.equal(1);
    expect(await rowOf(row)).to.include({ crashes: 1 });
  });

  it('finishes what another leader began, and counts that death once', async () => {
    const row = await submitTask(t);
    await takenByTheDead(row);
    await run();
    await takenByTheDead(row);
    // That leader wrote the row, and died before it came to the fence.
    const lost = { counts: 'crash', llmId: '', session: '', startedAt: null, reason: 'worker lost' } as const;
    await t.registry.tasks.nextEpoch(row.id, 2, lost);
    expect(await run()).to.equal(1);
    expect(await rowOf(row)).to.include({ status: 'pending', crashes: 2, epoch: 4 });
    expect(await fenceOf(row)).to.include({ state: 'open', claim: '', epoch: 4 });
    expect(await run()).to.equal(0);
  });

  /** A reaper of its own, beside a clock of Redis that is set: what was said before looks as much older. */
  const besideSteps = (row: TaskRow) => {
    let steppedMs = 0;
    let passedMs = 0;
    const clock = { ...systemClock, elapsed: () => systemClock.elapsed() + passedMs };
    const apart = { ...clock, elapsed: () => clock.elapsed() - steppedMs };
    const deps = dutyDeps(t);
    const steps = new ClockSteps({ clock: apart, log: t.deps.log });
    const { redis, keys } = t.deps.queue;
    const running = createRunningTasks({ redis, keys, steps });
    const mine = createReapDuty({ ...deps, clock, queue: { ...deps.queue, steps, running } });
    const { run: index } = keys.pool(row.poolName);
    return {
      run: () => mine.run(new AbortController().signal),
      beat: async () => void (await redis.zadd(index, await redisNow(redis), row.id)),
      step: async (byMs: number) => {
        steppedMs += byMs;
        await redis.zincrby(index, -byMs, row.id);
      },
      pass: async (ms: number) => {
        passedMs += ms;
        steppedMs += ms; // Redis's clock stands meanwhile, so that is none
        await redis.zincrby(index, -ms, row.id);
      },
    };
  };

  for (const [title, byMs] of [
    ['forward', 3_600_000],
    ['back', -3_600_000],
  ] as const)
    it(`takes nobody for dead by a clock of Redis that was set ${title}, and who died all the same`, async () => {
      const row = await submitTask(t);
      await takenByTheDead(row);
      const own = besideSteps(row);
      await own.beat();
      expect(await own.run()).to.equal(0);
      await own.step(byMs);
      expect(await own.run()).to.equal(0);
      await own.pass(1_000);
      expect(await own.run()).to.equal(0);
      expect(await rowOf(row)).to.include({ crashes: 0 });
      // Nothing is heard of it: it ends in seconds, though what it said last is of an hour to come.
      await own.pass(15_000);
      expect(await own.run()).to.equal(1);
      expect(await rowOf(row)).to.include({ crashes: 1 });
    });

  it('forgets entries whose task is over, and calls nobody dead for them', async () => {
    const { redis, keys } = t.deps.queue;
    const row = await submitTask(t);
    await takenByTheDead(row);
    await t.registry.tasks.close(row.id, { status: 'cancelled', code: 'task_cancelled', message: 'x' });
    await submitTask(t); // the pool is looked at while it has something open
    await redis.zadd(keys.pool('p').run, LONG_AGO, randomUUID());
    await run();
    await run();
    expect(await redis.zcard(keys.pool('p').run)).to.equal(0);
  });

  it('is braked for none of which a newer boot is there, while it is for the others', async () => {
    const [replaced, silent] = [await submitTask(t), await submitTask(t)];
    for (const row of [replaced, silent]) await takenByTheDead(row);
    const session = (await fenceOf(replaced))?.session ?? '';
    await t.deps.presence.hold(session, 'b2');
    t.bus.emit('redis.went_back', { how: 'older' });
    expect(await run()).to.equal(1);
    expect(await rowOf(replaced)).to.include({ status: 'pending', epoch: 2 });
    expect(await rowOf(silent)).to.include({ epoch: 1 });
  });
});
