import { expect } from 'chai';
import { createWakes, type Wakes } from '../../core/queue/live/wake.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { createWakeDuty } from '../../scheduler/duties/wake.ts';
import type { Duty } from '../../scheduler/duties/duty.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';
import { dutyDeps } from '../support/tasks.ts';
import { boot, publishSleepers, type HearingWorker } from './hearing-worker.ts';

const request = { messages: [{ role: 'user', content: 'hi' }] };
const S = 1_000;

describe('the duty that wakes pools', () => {
  let t: EdgeFixture;
  let wakes: Wakes;
  let worker: HearingWorker;
  let asked: string[];
  let duty: Duty;
  /** What the leader's clock says. */
  let later: number;
  beforeEach(async () => {
    t = await edgeFixture();
    wakes = createWakes(t.deps.queue);
    asked = [];
    later = 0;
    worker = await publishSleepers(t, ['a', 'b'], asked);
    duty = createWakeDuty({
      ...dutyDeps(t),
      clock: { ...systemClock, elapsed: () => later },
    });
  });
  afterEach(async () => {
    worker.stop();
    await t.close();
  });

  const task = async (): Promise<string> => {
    const made = await t.call('POST /api/v1/tasks', { body: { llm: worker.pool, request } });
    return (made.json as { id: string }).id;
  };
  const run = (): Promise<number> => duty.run(new AbortController().signal);
  /** @returns whether it asked, once that was heard. */
  const asks = async (): Promise<boolean> => {
    const before = asked.length;
    const did = await run();
    if (did > 0)
      await until(
        async () => asked.length,
        (now) => now > before,
      );
    return did > 0;
  };
  /** The first moment, in whole seconds from now, at which it asks. */
  const asksAfter = async (mostS: number): Promise<number> => {
    for (let s = 0; s <= mostS; s++) {
      if (await asks()) return s;
      later += S;
    }
    return Infinity;
  };

  it('asks where a task waits that nobody waits for, and nowhere else', async () => {
    expect(await run()).to.equal(0);
    const id = await task();
    expect(await asks()).to.equal(true);
    expect(asked).to.deep.equal([worker.ids[0]]);
    await t.call(`DELETE /api/v1/tasks/${id}`);
    later += 3_600 * S;
    expect(await run()).to.equal(0);
  });

  it('backs off from 10 s to 5 min, taking the sleepers in turn, and begins anew with the next task', async () => {
    const id = await task();
    const waits = [];
    for (let n = 0; n < 7; n++) waits.push(await asksAfter(400));
    expect(waits).to.deep.equal([0, 10, 20, 40, 80, 160, 300]);
    const [a, b] = worker.ids;
    expect(asked).to.deep.equal([a, b, a, b, a, b, a]);
    await t.call(`DELETE /api/v1/tasks/${id}`);
    await run();
    await task();
    expect(await asks()).to.equal(true);
  }).timeout(60_000);

  it('leaves alone what is being woken, and what has just failed', async () => {
    await task();
    const [, b = ''] = worker.ids;
    await wakes.hold(b, boot, 0);
    expect(await run()).to.equal(0);
    await wakes.fail(b, boot, 'no');
    expect(await run()).to.equal(0);
    await t.deps.queue.redis.del(t.deps.queue.keys.wake(b));
    expect(await asks()).to.equal(true);
  });
});
