import { expect } from 'chai';
import fc from 'fast-check';
import { McpctlError } from '../../core/errors.ts';
import { inBatches } from '../../core/registry/tasks/batches.ts';
import { pause } from '../../core/runtime/clock.ts';

describe('calls that are made in batches', () => {
  it('each get their own result, whatever comes together, and whichever of them cannot be stored', async () => {
    const call = fc.record({ n: fc.integer(), bad: fc.boolean(), weight: fc.integer({ min: 1, max: 40 }) });
    const history = fc.record({
      calls: fc.array(fc.record({ call, afterMs: fc.constantFrom(0, 0, 0, 1) }), { maxLength: 40 }),
      lanes: fc.integer({ min: 1, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(history, async ({ calls, lanes }) => {
        let under = 0;
        const run = async (items: readonly { n: number; bad: boolean; weight: number }[]) => {
          under += 1;
          expect(under).to.be.at.most(lanes);
          const weight = items.reduce((sum, item) => sum + item.weight, 0);
          expect(items.length === 1 || weight <= 50, `${items.length} of ${weight}`).to.equal(true);
          await pause(1);
          under -= 1;
          if (items.some(({ bad }) => bad)) throw new TypeError('22P05');
          return items.map(({ n }) => n * 2);
        };
        const batched = inBatches(run, { weightOf: ({ weight }) => weight, most: 50, lanes });
        const results: Promise<unknown>[] = [];
        for (const { call: one, afterMs } of calls) {
          results.push(batched(one).catch(() => 'bad'));
          if (afterMs > 0) await pause(afterMs);
        }
        expect(await Promise.all(results)).to.deep.equal(
          calls.map(({ call: { n, bad } }) => (bad ? 'bad' : n * 2)),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('go at once while nothing is under way, and together while something is', async () => {
    const sizes: number[] = [];
    let open: () => void = () => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    const run = async (items: readonly number[]) => {
      sizes.push(items.length);
      await opened;
      return items;
    };
    const batched = inBatches(run, { weightOf: () => 1, most: 100, lanes: 1 });
    const all = Promise.all([1, 2, 3, 4].map((n) => batched(n)));
    expect(sizes).to.deep.equal([1]);
    open();
    expect(await all).to.deep.equal([1, 2, 3, 4]);
    expect(sizes).to.deep.equal([1, 3]);
  });

  it('wait for others a moment where some went together, until there are many, and no longer', async () => {
    const sizes: number[] = [];
    const run = async (items: readonly number[]) => {
      sizes.push(items.length);
      await pause(1);
      return items;
    };
    const batched = inBatches(run, { weightOf: () => 1, most: 100, lanes: 1 });
    const some = (count: number): Promise<number[]> =>
      Promise.all(Array.from({ length: count }, (_, n) => batched(n)));
    await some(4);
    expect(sizes).to.deep.equal([1, 3]);
    // The next waits for company; those that make it many go at once.
    const next = batched(0);
    expect(sizes).to.deep.equal([1, 3]);
    const many = some(15);
    expect(sizes).to.deep.equal([1, 3, 16]);
    await Promise.all([next, many]);
    // Nobody comes: it goes alone, and then each goes at once.
    await batched(0);
    expect(sizes).to.deep.equal([1, 3, 16, 1]);
    await new Promise(setImmediate); // its lane is free
    void batched(0);
    expect(sizes).to.deep.equal([1, 3, 16, 1, 1]);
  });

  it('do not wait for one that takes long, nor for what did not fit into a batch', async () => {
    const sizes: number[] = [];
    let started: () => void = () => undefined;
    const run = async (items: readonly number[]) => {
      sizes.push(items.length);
      started();
      if (items.includes(1))
        await new Promise<void>((resolve) => (started = () => sizes.length === 3 && resolve()));
      return items;
    };
    const batched = inBatches(run, { weightOf: () => 1, most: 2, lanes: 2 });
    // The first ends when two others have begun.
    expect(await Promise.all([1, 2, 3, 4].map((n) => batched(n)))).to.deep.equal([1, 2, 3, 4]);
    expect(sizes).to.deep.equal([1, 2, 1]);
  });

  it('go by themselves where somebody holds what one of them is about: nobody waits for that, nor for what follows it', async () => {
    const lockError = new McpctlError('unavailable', undefined, { cause: { sqlState: '55P03' } });
    let letGo: () => void = () => undefined;
    const isHeld = new Promise<void>((resolve) => (letGo = resolve));
    const run = async (items: readonly number[]) => {
      if (items.length === 1 && items[0] === 2) await isHeld;
      if (items.includes(2)) throw lockError;
      return items;
    };
    const batched = inBatches(run, { weightOf: () => 1, most: 100, lanes: 1 });
    const [one, two, three] = [1, 2, 3].map((n) => batched(n));
    expect([await one, await three, await batched(4)]).to.deep.equal([1, 3, 4]);
    letGo();
    expect(await two?.catch((thrown: unknown) => thrown)).to.equal(lockError);
  });

  it('all fail at once when Postgres is away: it is not asked once more for each', async () => {
    let asked = 0;
    const run = (): Promise<never> => {
      asked += 1;
      return Promise.reject(new McpctlError('unavailable'));
    };
    const batched = inBatches<number, never>(run, { weightOf: () => 1, most: 100, lanes: 1 });
    const ends = await Promise.allSettled([1, 2, 3, 4].map((n) => batched(n)));
    expect(ends.map(({ status }) => status)).to.deep.equal(Array(4).fill('rejected'));
    expect(asked).to.equal(2);
  });
});
