import { expect } from 'chai';
import fc from 'fast-check';
import { McpctlError } from '../../../core/errors.ts';
import { redisUnavailable } from '../../../core/queue/trouble.ts';
import { createLog } from '../../../core/runtime/log.ts';
import { EachItem, type EachItemOptions } from '../../../core/runtime/each-item.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const signal = new AbortController().signal;

/** A loop over numbers whose clock stands still, unless told. */
function loopOf(given: Pick<EachItemOptions<number>, 'act'> & Partial<EachItemOptions<number>>) {
  const clock = { nowMs: 0, now: () => 0, random: () => 0, elapsed: () => clock.nowMs };
  const each = new EachItem<number>({
    name: 'test',
    idOf: String,
    together: 8,
    lanes: 2,
    clock,
    log,
    ...given,
  });
  return { each, clock };
}

describe('the frame of a loop over items', () => {
  it('does all but the poisoned ones, each of those once, wherever they stand in a batch', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.nat(60)),
        fc.integer({ min: 1, max: 20 }),
        async (poisoned, together) => {
          const done: number[] = [];
          const { each } = loopOf({
            together,
            act: (items) => {
              if (items.some((item) => poisoned.includes(item))) return Promise.reject(new Error('poison'));
              done.push(...items);
              return Promise.resolve(items.length);
            },
          });
          const items = Array.from({ length: 50 }, (_, n) => n);
          const bad = items.filter((item) => poisoned.includes(item));
          const round = await each.run(items, signal);
          expect([...done].sort((a, b) => a - b)).to.deep.equal(items.filter((item) => !bad.includes(item)));
          expect(round).to.deep.equal({ did: 50 - bad.length, left: 0, failed: bad.length, ended: 0 });
        },
      ),
      { numRuns: 40 },
    );
  });

  it('lets one that failed rest for longer each time, and ends it when it never works', async () => {
    const tried: number[] = [];
    const ended: number[] = [];
    const { each, clock } = loopOf({
      act: ([item]) => {
        tried.push(clock.nowMs);
        return item === 1 ? Promise.reject(new Error('poison')) : Promise.resolve(1);
      },
      giveUp: (item) => Promise.resolve(ended.push(item)),
      together: 1,
    });
    for (let turn = 0; turn < 40; turn++, clock.nowMs += 500) await each.run([1], signal);
    expect(tried.slice(0, 5)).to.deep.equal([0, 1_000, 3_000, 7_000, 15_000]);
    expect(ended).to.deep.equal([1]);
  });

  it('holds a store that is away against no item, and stops', async () => {
    let asked = 0;
    const { each } = loopOf({
      act: () => {
        asked += 1;
        return Promise.reject(new McpctlError('unavailable'));
      },
      giveUp: () => expect.fail('ended for the store'),
      together: 1,
      lanes: 1,
    });
    const thrown = await each
      .run(
        Array.from({ length: 100 }, (_, n) => n),
        signal,
      )
      .catch((error: unknown) => error);
    expect(thrown).to.include({ code: 'unavailable' });
    expect(asked).to.equal(3);
  });

  it('holds against an item what a store says of it alone, though those who wait are told that it is away', async () => {
    const ended: number[] = [];
    const foreign = Object.assign(new Error('WRONGTYPE Operation against a key'), { name: 'ReplyError' });
    const { each, clock } = loopOf({
      act: ([item = 0]) => (item < 4 ? Promise.reject(redisUnavailable(foreign)) : Promise.resolve(1)),
      giveUp: (item) => Promise.resolve(ended.push(item)),
      together: 1,
      lanes: 1,
    });
    const rounds = [];
    for (let turn = 0; turn < 40; turn++, clock.nowMs += 500)
      rounds.push(await each.run([0, 1, 2, 3, 4, 5], signal));
    expect(rounds[0]).to.deep.equal({ did: 2, left: 0, failed: 4, ended: 0 });
    expect(ended).to.deep.equal([0, 1, 2, 3]);
  });

  it('goes on past what somebody else holds, however much of it, and holds that against nobody', async () => {
    const lockError = new McpctlError('unavailable', undefined, { cause: { sqlState: '55P03' } });
    const { each, clock } = loopOf({
      act: (items) =>
        items.some((item) => item < 6) ? Promise.reject(lockError) : Promise.resolve(items.length),
      giveUp: () => expect.fail('ended for what somebody else holds'),
      lanes: 1,
    });
    const items = Array.from({ length: 20 }, (_, n) => n);
    for (let turn = 0; turn < 8; turn++, clock.nowMs += 1_500)
      expect(await each.run(items, signal)).to.deep.equal({ did: 14, left: 0, failed: 6, ended: 0 });
  });

  it('looks for the one that fails a batch no longer than its budget, and tells what it left', async () => {
    const { each, clock } = loopOf({
      act: () => {
        clock.nowMs += 10;
        return Promise.reject(new Error('poison'));
      },
      together: 64,
      lanes: 1,
      budgetMs: 45,
    });
    const { failed, left } = await each.run(
      Array.from({ length: 64 }, (_, n) => n),
      signal,
    );
    expect([failed, left]).to.deep.equal([0, 64]);
  });

  it('gives up one that hangs, and begins nothing more once its budget is spent, telling what it left', async () => {
    const { each, clock } = loopOf({
      act: ([item]) => (item === 0 ? new Promise(() => undefined) : Promise.resolve((clock.nowMs += 10))),
      together: 1,
      lanes: 1,
      actMs: 20,
      budgetMs: 25,
    });
    expect(await each.run([0, 1, 2, 3, 4, 5], signal)).to.include({ left: 2, failed: 1 });
  });

  it('comes to the others although as many hang as stand for a store that is away, round after round', async () => {
    const done = new Set<number>();
    const { each, clock } = loopOf({
      // Each of them alone makes what it is about hang: a row that somebody holds, a pool whose server is gone.
      act: ([item = 0]) => {
        if (item < 5) return Promise.reject(new McpctlError('unavailable'));
        done.add(item);
        return Promise.resolve(1);
      },
      together: 1,
      lanes: 1,
    });
    const items = Array.from({ length: 20 }, (_, n) => n);
    for (let turn = 0; turn < 3; turn++, clock.nowMs += 1_500) {
      const thrown = await each.run(items, signal).catch((error: unknown) => error);
      if (turn === 0) expect(thrown).to.include({ code: 'unavailable' });
    }
    expect([...done]).to.deep.equal(items.slice(5));
  });

  it('takes those last that failed last, so that they cannot use up the budget of the others', async () => {
    const order: number[] = [];
    const { each, clock } = loopOf({
      act: ([item = 0]) => {
        order.push(item);
        return item === 0 ? Promise.reject(new Error('poison')) : Promise.resolve(1);
      },
      together: 1,
      lanes: 1,
    });
    for (let turn = 0; turn < 2; turn++, clock.nowMs += 1_500) await each.run([0, 1, 2], signal);
    expect(order).to.deep.equal([0, 1, 2, 1, 2, 0]);
  });
});
