import { expect } from 'chai';
import { attachWaiter, detachWaiter, WAITER_LEASE_MS } from '../../core/queue/task/waiters.ts';
import type { Duty } from '../../scheduler/duties/duty.ts';
import { createOrphansDuty } from '../../scheduler/duties/orphans.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { dutyDeps, submitTask } from '../support/tasks.ts';

const policy = { onDisconnect: 'cancel', graceSeconds: null } as const;
const LOOK_MS = 1_000;

describe('the duty orphans', () => {
  let t: EdgeFixture;
  let duty: Duty;
  /** Only the duty's own clock: leases go by Redis's. */
  let nowMs: number;

  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());
  beforeEach(() => {
    nowMs = 1_000_000;
    const deps = dutyDeps(t);
    duty = createOrphansDuty({ ...deps, clock: { ...deps.clock, elapsed: () => nowMs } });
  });

  /** Runs it as often as the leader does, for so long; how many it cancelled. */
  const runFor = async (ms: number): Promise<number> => {
    let did = 0;
    for (const until = nowMs + ms; nowMs < until; nowMs += LOOK_MS)
      did += await duty.run(new AbortController().signal);
    return did;
  };
  const trusted = (): Promise<number> => runFor(WAITER_LEASE_MS + LOOK_MS);

  /** A task whose only caller's edge has died: the lease has lapsed. */
  const orphan = async (): Promise<string> => {
    const { id } = await submitTask(t, { ...policy, attachment: 'a' });
    const { redis, keys } = t.deps.queue;
    await redis.zincrby(keys.pool('p').orphans, -WAITER_LEASE_MS, id);
    return id;
  };
  const statusOf = async (id: string) => (await t.registry.tasks.byId(id))?.status;

  it('cancels what nobody has renewed, once, and leaves the rest', async () => {
    await trusted();
    const id = await orphan();
    const kept = await orphan();
    const waiter = { taskId: kept, poolKey: 'p', attachment: 'b', graceMs: 0 };
    await attachWaiter(t.deps.queue, waiter);
    expect(await runFor(LOOK_MS)).to.equal(1);
    expect([await statusOf(id), await statusOf(kept)]).to.deep.equal(['cancelled', 'pending']);
    expect(await runFor(LOOK_MS)).to.equal(0);
    await t.deps.queue.redis.zrem(t.deps.queue.keys.pool('p').task(kept).attached, 'a');
    expect(await detachWaiter(t.deps.queue, waiter)).to.equal('last');
    expect(await runFor(LOOK_MS)).to.equal(1);
  });

  it('gives everybody time to renew when it begins, and when it was held up', async () => {
    const first = await orphan();
    expect(await runFor(WAITER_LEASE_MS)).to.equal(0);
    expect(await statusOf(first)).to.equal('pending');
    expect(await runFor(LOOK_MS)).to.equal(1);
    const second = await orphan();
    nowMs += 5_000; // Redis was away, or this process stood still
    expect(await runFor(WAITER_LEASE_MS)).to.equal(0);
    expect(await statusOf(second)).to.equal('pending');
    expect(await runFor(LOOK_MS)).to.equal(1);
  });

  it('gives everybody time to renew when its connection came back', async () => {
    await trusted();
    const id = await orphan();
    t.deps.queue.redis.emit('ready');
    expect(await runFor(WAITER_LEASE_MS)).to.equal(0);
    expect(await statusOf(id)).to.equal('pending');
    expect(await runFor(LOOK_MS)).to.equal(1);
  });
});
