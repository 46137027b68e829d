import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { systemClock } from '../../core/runtime/clock.ts';
import { Brake } from '../../scheduler/brake.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { dutyDeps } from '../support/tasks.ts';

/** It lets go after this at the latest, whatever happens. */
const LONGEST_MS = 15_000;
const sessions = Array.from({ length: 10 }, () => randomUUID());
const most = sessions.slice(0, 6);

describe('the brake of the reaper', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  let now = 0;
  before(async () => {
    t = await edgeFixture();
    const { redis, keys } = t.deps.queue;
    await redis.set(keys.epoch, 1);
    const rows = sessions.map((id) => ({ id, ownerId: t.ada.id }));
    await t.connection.db('sessions').insert(rows);
  });
  after(() => t.close());

  /** One that has seen no fault yet. */
  const open = (): Brake => new Brake({ ...dutyDeps(t), clock: { ...systemClock, elapsed: () => now } });

  it('holds once for seconds where over half of the workers look dead, and not again for who dies after them', async () => {
    const brake = open();
    expect(await brake.allows(most)).to.equal(false);
    now += 2_999;
    expect(await brake.allows(sessions)).to.equal(false);
    now += 1;
    expect(await brake.allows(sessions)).to.equal(true);
    for (let second = 0; second < 55; second += 5) {
      now += 5_000;
      expect(await brake.allows(sessions), `after ${String(second)} s`).to.equal(true);
    }
  });

  it('counts sessions, not their claims: half of the workers with a hundred claims each are dead at once', async () => {
    const claims = sessions.slice(0, 5).flatMap((id) => Array.from({ length: 100 }, () => id));
    expect(await open().allows(claims)).to.equal(true);
    expect(await open().allows([...claims, ...most]), 'one more').to.equal(false);
  });

  it('does not hold a second time for those who died while it was blind', async () => {
    const brake = open();
    brake.blind('Redis was away');
    now += 9_999;
    expect(await brake.allows(most)).to.equal(false);
    now += 1;
    expect(await brake.allows(most)).to.equal(true);
  });

  it('goes on, and begins no other stretch, at a sign that comes right behind one', async () => {
    const brake = open();
    const began = now;
    brake.blind('Redis was away');
    now += 9_900;
    expect(await brake.allows(most)).to.equal(false);
    now += 200;
    do {
      brake.blind('and again');
      now += 900;
    } while (now - began < 60_000 && !(await brake.allows(most)));
    expect(now - began).to.be.at.most(LONGEST_MS + 1_000);
  });

  it('lets go within seconds, however often its signs come', async () => {
    const signs = fc.array(fc.tuple(fc.integer({ min: 0, max: 1_000 }), fc.boolean()), {
      minLength: 20,
      maxLength: 100,
    });
    await fc.assert(
      fc.asyncProperty(signs, async (steps) => {
        const brake = open();
        let braked = 0;
        for (const [ms, isSign] of [...steps, ...steps.map(([ms]) => [ms, true] as const)]) {
          if (isSign) brake.blind('a sign');
          now += ms;
          braked = (await brake.allows(most)) ? 0 : braked + ms;
          // A look comes each quarter of a second; here it may be a second late, and over half of all add their moment once.
          expect(braked).to.be.below(LONGEST_MS + 3_000 + 1_001);
        }
      }),
      { numRuns: 10 },
    );
  });
});
