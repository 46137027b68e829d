import { expect } from 'chai';
import fc from 'fast-check';
import { cutOf, roomBytes } from '../../../core/agent/budget.ts';

describe('the budget of a request', () => {
  it('leaves out the oldest turns, whole ones, to three quarters of the room, and none where there is room', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 5_000 }), { maxLength: 30 });
    const property = fc.property(
      sizes,
      fc.nat(5_000),
      fc.integer({ min: 1, max: 60_000 }),
      (weights, added, room) => {
        const turns = weights.map((bytes, at) => ({ n: at * 2 + 1, bytes }));
        const bytes = added + weights.reduce((sum, weight) => sum + weight, 0);
        const from = cutOf(turns, { bytes, room });
        const fits = bytes <= room || turns.length === 0;
        expect(from === null).to.equal(fits);
        if (from === null) return;
        const kept = (least: number): number =>
          added + turns.filter(({ n }) => n >= least).reduce((sum, turn) => sum + turn.bytes, 0);
        const isAll = turns.every(({ n }) => n < from);
        expect(isAll || kept(from) <= room * 0.75).to.equal(true);
        // With one more of them it would have been too much.
        const lastOut = Math.max(...turns.filter(({ n }) => n < from).map(({ n }) => n));
        expect(kept(lastOut) > room * 0.75).to.equal(true);
      },
    );
    fc.assert(property, { numRuns: 300 });
  });

  it('goes by what was measured in the thread, and keeps room for the answer', () => {
    const budget = { contextLength: 8_000, answerTokens: 1_000, measured: null };
    expect(roomBytes(budget)).to.equal(Math.floor(7_000 * 0.98 * 2.5));
    const measured = { promptTokens: 1_000, promptBytes: 4_000 };
    expect(roomBytes({ ...budget, measured })).to.equal(Math.floor(7_000 * 0.98 * 3.8));
    expect(roomBytes({ ...budget, measured: { promptTokens: 0, promptBytes: 9 } })).to.equal(
      roomBytes(budget),
    );
    expect(roomBytes({ contextLength: 1_000, answerTokens: null, measured: null })).to.equal(
      Math.floor(750 * 0.98 * 2.5),
    );
  });
});
