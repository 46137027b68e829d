import { expect } from 'chai';
import fc from 'fast-check';
import type { Submission } from '../../core/queue/task/submission.ts';
import { tagOf } from '../../core/queue/task/attempt.ts';
import { Follower } from '../../core/queue/task/follow.ts';
import { runScript } from '../../core/queue/scripts.ts';
import { firstSeq, readPage, type Entry, type Position } from '../../core/queue/task/stream.ts';
import { createLog } from '../../core/runtime/log.ts';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });

/** I7: events that travel together keep their own numbers, wherever a reader goes on. */
describe('events that are sent together', function () {
  this.timeout(60_000);
  let t: QueueFixture;
  before(async () => {
    t = await queueFixture();
  });
  after(() => t.close());

  const emit = async (task: Submission, first: number, events: readonly string[]): Promise<unknown> => {
    const { fence, stream, channel } = t.door.keys.pool(task.poolKey).task(task.taskId);
    return await runScript(t.redis, 'emit', {
      keys: [fence, stream],
      args: ['c', first, 60_000, 32_000_000, channel, events.length, events.join('\n')],
    });
  };
  const numbered = (entry: Entry): string[] =>
    entry.kind === 'events'
      ? entry.data.map((event, at) => `${entry.epoch}-${firstSeq(entry) + at} ${event}`)
      : [];
  const readAfter = async (task: Submission, after: Position): Promise<string[]> => {
    const { stream } = t.door.keys.pool(task.poolKey).task(task.taskId);
    const numbers: string[] = [];
    for (let at = after; ;) {
      const { entries, more } = await readPage(t.redis, stream, at);
      numbers.push(...entries.flatMap(numbered));
      const last = entries.at(-1);
      if (!more || !last) return numbers;
      at = last;
    }
  };

  /** A call: so many events, of so many characters, from so far before the first that is new. */
  const call = fc.record({
    count: fc.integer({ min: 1, max: 40 }),
    size: fc.oneof(fc.nat(20), fc.nat(4_000)),
    again: fc.nat(50),
  });

  it('are read once, in order, from any of them on, however they were put together and sent again', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 12 }), fc.nat(), async (calls, pick) => {
        const task = await t.submitted();
        await t.claim(task, 'c');
        const live = await Follower.open({ ...t.door, log, eventKeepMs: 600_000 }, task);
        const sent: string[] = [];
        for (const { count, size, again } of calls) {
          const first = Math.max(0, sent.length - again);
          const events = Array.from(
            { length: count },
            (_, n) => sent[first + n] ?? `${first + n}:${'ü'.repeat(size)}`,
          );
          sent.push(...events.slice(Math.max(0, sent.length - first)));
          expect(await emit(task, first + 1, events)).to.equal(1);
        }
        const all = sent.map((event, n) => `1-${n + 1} ${event}`);
        const k = pick % (sent.length + 1);
        const seen = { epoch: 1, seq: k };
        expect(await readAfter(task, { epoch: 0, seq: 0 })).to.deep.equal(all);
        expect(await readAfter(task, seen)).to.deep.equal(all.slice(k));
        const back = await Follower.open({ ...t.door, log, eventKeepMs: 600_000 }, task, seen);
        await back.begin();
        for (const [follower, from] of [
          [live, 0],
          [back, k],
        ] as const) {
          const got: string[] = [];
          while (got.length < all.length - from) {
            const item = await follower.next({ withinMs: 10_000 });
            if (item?.kind !== 'events') throw new TypeError(`${item?.kind ?? 'nothing'} came`);
            got.push(...numbered(item));
          }
          expect(got).to.deep.equal(all.slice(from));
          follower.close();
        }
      }),
      { numRuns: 60 },
    );
  });

  it('are one entry, with the number of the last; one alone is as it has always been; each names its claim', async () => {
    const task = await t.submitted();
    await t.claim(task, 'c');
    await emit(task, 1, ['one']);
    await emit(task, 2, ['two', '', 'four']);
    const { stream } = t.door.keys.pool(task.poolKey).task(task.taskId);
    expect(await t.redis.xrange(stream, '-', '+')).to.deep.equal([
      ['1-1', ['d', 'one', 'c', tagOf('c')]],
      ['1-4', ['l', 'two\n\nfour', 'n', '3', 'c', tagOf('c')]],
    ]);
  });

  it('name no claim where an edge of the last release laid the task down', async () => {
    const task = await t.submitted();
    const { fence, stream } = t.door.keys.pool(task.poolKey).task(task.taskId);
    await t.redis.hdel(fence, 'v');
    await t.claim(task, 'c');
    await emit(task, 1, ['one']);
    expect(await t.redis.xrange(stream, '-', '+')).to.deep.equal([['1-1', ['d', 'one']]]);
  });

  it('may be pretty-printed: their line breaks mean nothing', async () => {
    const task = await t.submitted();
    await t.claim(task, 'c');
    const emitter = t.emitter(task, { claimId: 'c', epoch: 1 });
    await emitter.emitAll(['{\n  "a": 1\r\n}', '{"b":2}']);
    await emitter.flush();
    expect((await t.entries(task)).flatMap(numbered)).to.deep.equal(['1-1 {   "a": 1 }', '1-2 {"b":2}']);
  });

  it('fill a page and no more, small or large', async () => {
    const task = await t.submitted();
    await t.claim(task, 'c');
    const { stream } = t.door.keys.pool(task.poolKey).task(task.taskId);
    let next = 1;
    const add = async (count: number, size: number): Promise<void> => {
      await emit(
        task,
        next,
        Array.from({ length: count }, () => 'x'.repeat(size)),
      );
      next += count;
    };
    for (let n = 0; n < 10; n++) await add(256, 1);
    for (let n = 0; n < 3; n++) await add(1, 40_000);
    await add(1, 200_000);
    const pages: number[] = [];
    for (let at: Position = { epoch: 0, seq: 0 }; ;) {
      const { entries, more } = await readPage(t.redis, stream, at);
      pages.push(entries.flatMap((e) => (e.kind === 'events' ? e.data : [])).length);
      const last = entries.at(-1);
      if (!more || !last) break;
      at = last;
    }
    expect(pages).to.deep.equal([768, 768, 768, 257, 1, 1, 1]);
  });

  it('are told as they come, until it is so much that others wait behind it: then they are read', async () => {
    const task = await t.submitted();
    await t.claim(task, 'c');
    const { channel } = t.door.keys.pool(task.poolKey).task(task.taskId);
    const heard: string[] = [];
    const stop = await t.door.subscriber.listen(channel, (what) => {
      heard.push(what.kind === 'message' ? what.text : what.kind);
    });
    const live = await Follower.open({ ...t.door, log, eventKeepMs: 600_000 }, task);
    const events = Array.from({ length: 100 }, (_, n) => `${n} ${'x'.repeat(8_000)}`);
    for (const [n, event] of events.entries()) expect(await emit(task, n + 1, [event])).to.equal(1);
    const got: string[] = [];
    while (got.length < events.length) {
      const item = await live.next({ withinMs: 10_000 });
      if (item?.kind !== 'events') throw new TypeError(`${item?.kind ?? 'nothing'} came`);
      got.push(...item.data);
    }
    expect(got).to.deep.equal(events);
    expect(heard).to.have.length(events.length);
    expect(heard.slice(0, 8).every((text) => text !== '')).to.equal(true);
    expect(heard.filter((text) => text === '')).to.have.length.above(50);
    stop();
    live.close();
  });
});
