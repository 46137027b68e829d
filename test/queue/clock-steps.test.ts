import { expect } from 'chai';
import fc from 'fast-check';
import { ClockSteps } from '../../core/queue/live/clock-steps.ts';
import { createLog } from '../../core/runtime/log.ts';
import { systemClock } from '../../core/runtime/clock.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });

/** Redis's clock and ours, each moved by hand. */
function clocks() {
  let elapsed = 0;
  let redis = 1_700_000_000_000;
  const steps = new ClockSteps({ clock: { ...systemClock, elapsed: () => elapsed }, log });
  let noticed = 0;
  steps.onStep(() => (noticed += 1));
  return {
    steps,
    noticed: () => noticed,
    pass(ms: number) {
      elapsed += ms;
      redis += ms;
    },
    set: (byMs: number) => void (redis += byMs),
    /** @param ms what the answer takes, Redis having read its clock at `at` of it. */
    read(ms = 0, at = 1) {
      const heard = steps.read();
      this.pass(ms * at);
      const answer = redis;
      this.pass(ms * (1 - at));
      heard(answer);
    },
  };
}

describe("steps of Redis's clock", () => {
  it('are noticed whichever way it is set, and nobody is judged for ten seconds', () => {
    for (const byMs of [60_000, -60_000, 3_600_000, -3_600_000, 2_000]) {
      const t = clocks();
      t.read();
      t.pass(1_000);
      t.set(byMs);
      expect(t.steps.isBlind()).to.equal(false);
      t.read();
      expect(t.steps.isBlind()).to.equal(true);
      t.pass(9_999);
      t.read();
      expect(t.steps.isBlind()).to.equal(true);
      t.pass(1);
      expect(t.steps.isBlind()).to.equal(false);
      expect(t.noticed()).to.equal(1);
    }
  });

  it('are none where answers are slow, or the clock is slewed', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            gapMs: fc.integer({ min: 0, max: 5_000 }),
            tookMs: fc.integer({ min: 0, max: 3_000 }),
            at: fc.double({ min: 0, max: 1, noNaN: true }),
            slewMs: fc.integer({ min: -100, max: 100 }),
          }),
        ),
        (reads) => {
          const t = clocks();
          for (const { gapMs, tookMs, at, slewMs } of reads) {
            t.pass(gapMs);
            if (tookMs < 1_000) t.set(slewMs);
            t.read(tookMs, at);
          }
          expect(t.noticed()).to.equal(0);
        },
      ),
    );
  });

  it('are noticed where it is set back to what it was a moment ago', () => {
    const t = clocks();
    t.read();
    t.set(3_600_000);
    t.read();
    t.pass(9_000);
    t.set(-3_600_000);
    t.read();
    t.pass(9_999);
    t.read();
    expect([t.steps.isBlind(), t.noticed()]).to.deep.equal([true, 2]);
    t.pass(1);
    expect(t.steps.isBlind()).to.equal(false);
  });

  it('are none for long where the clocks of several machines are read in turn', () => {
    const t = clocks();
    const readOther = (): void => {
      t.set(7_000);
      t.read();
      t.set(-7_000);
    };
    t.read();
    readOther(); // it is not known whether that one has always been so
    const readInTurn = (seconds: number): void => {
      for (let n = 0; n < seconds; n += 1) {
        t.pass(1_000);
        t.read();
        readOther();
      }
    };
    readInTurn(20);
    expect(t.steps.isBlind()).to.equal(true);
    readInTurn(10);
    const noticed = t.noticed();
    readInTurn(60);
    expect([t.steps.isBlind(), t.noticed()]).to.deep.equal([false, noticed]);
  });
});
