import { expect } from 'chai';
import fc from 'fast-check';
import { SlotGroups, Slots } from '../../core/member/slots.ts';

/** I10: a worker never runs more than it declared. */
describe('slots', () => {
  it('are never more than the size, whatever is taken, given back and given up', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.constantFrom('take', 'give', 'give twice', 'abort'), { maxLength: 60 }),
        async (size, steps) => {
          const slots = new Slots(size);
          const releases: (() => void)[] = [];
          const waiting: AbortController[] = [];
          for (const step of steps) {
            if (step === 'take') {
              const asking = new AbortController();
              waiting.push(asking);
              void slots.take(asking.signal).then((release) => {
                if (release) releases.push(release);
              });
            } else if (step === 'abort') waiting.shift()?.abort();
            else {
              const release = releases.shift();
              release?.();
              if (step === 'give twice') release?.();
            }
            await Promise.resolve();
            await Promise.resolve();
            expect(releases.length).to.be.at.most(size);
            expect(slots.isFree()).to.equal(releases.length < size);
          }
        },
      ),
    );
  });

  it('go to whoever waited longest', async () => {
    const slots = new Slots(1);
    const { signal } = new AbortController();
    const release = await slots.take(signal);
    const order: number[] = [];
    const waits = [1, 2, 3].map((n) =>
      slots.take(signal).then((next) => {
        order.push(n);
        next?.();
      }),
    );
    release?.();
    await Promise.all(waits);
    expect(order).to.deep.equal([1, 2, 3]);
  });

  it('are not given to one who has stopped waiting', async () => {
    const slots = new Slots(1);
    const release = await slots.take(new AbortController().signal);
    const gone = new AbortController();
    const waiting = slots.take(gone.signal);
    gone.abort();
    expect(await waiting).to.equal(null);
    release?.();
    expect(slots.isFree()).to.equal(true);
  });

  it('of groups that a worker no longer names are forgotten when nothing runs there any more', () => {
    const groups = new SlotGroups();
    const free = groups.of('busy').occupy();
    for (let n = 0; n < 1_000; n++) {
      groups.of(`group ${String(n)}`);
      groups.keepOnly(new Set([`group ${String(n)}`]));
    }
    expect(groups.size).to.equal(2);
    expect(groups.of('busy').taken, 'what runs there still counts').to.equal(1);
    free();
    groups.keepOnly(new Set());
    expect(groups.size).to.equal(0);
  });
});
