import { expect } from 'chai';
import fc from 'fast-check';
import { Follower, type Followed } from '../../core/queue/follow.ts';
import type { Submission } from '../../core/queue/dispatch.ts';
import { createLog } from '../../core/runtime/log.ts';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';

const done = { kind: 'completed', status: 200 } as const;
const log = createLog({ process: 'test', level: 'silent', pretty: false });

/** I7: numbers gapless and increasing; resuming after k gives exactly the rest. */
describe('following a stream', function () {
  this.timeout(60_000);
  let t: QueueFixture;
  before(async () => {
    t = await queueFixture();
  });
  after(() => t.close());

  const open = (task: Submission, after?: { epoch: number; seq: number }): Promise<Follower> =>
    Follower.open({ ...t.door, log }, task, after);
  const collect = async (follower: Follower): Promise<string[]> => {
    const texts: string[] = [];
    for (;;) {
      const item: Followed | null = await follower.next({ withinMs: 10_000 });
      if (item === null) throw new TypeError(`nothing came after ${texts.length} events`);
      if (item.kind === 'event') texts.push(item.data);
      if (item.kind === 'end') return texts;
    }
  };
  const run = async (
    task: Submission,
    events: readonly string[],
    between: (n: number) => Promise<void> | void = () => undefined,
  ): Promise<void> => {
    await t.claim(task, 'c');
    const emitter = t.emitter(task, { claimId: 'c', epoch: 1 });
    for (const [n, event] of events.entries()) {
      await emitter.emit(event);
      await between(n);
    }
    await emitter.end(done);
  };

  it('gives every event once and in order, whatever the texts are', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'grapheme', maxLength: 40 }), { maxLength: 60 }),
        async (events) => {
          const task = await t.submitted();
          const follower = await open(task);
          const [got] = await Promise.all([collect(follower), run(task, events)]);
          follower.close();
          expect(got).to.deep.equal(events);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('gives exactly the rest to one who resumes after k', async () => {
    const events = Array.from({ length: 1_200 }, (_, i) => `e${i}`);
    const task = await t.submitted();
    await run(task, events);
    await fc.assert(
      fc.asyncProperty(fc.nat(events.length), async (k) => {
        const follower = await open(task, { epoch: 1, seq: k });
        follower.readRecord();
        expect(await collect(follower)).to.deep.equal(events.slice(k));
        follower.close();
      }),
      { numRuns: 20 },
    );
  });

  it('loses nothing when its connection is cut again and again', async () => {
    const task = await t.submitted();
    const follower = await open(task);
    const events = Array.from({ length: 200 }, (_, i) => `e${i}`);
    const cut = async (n: number): Promise<void> => {
      if (n % 50 !== 25) return;
      const clients = String(await t.redis.client('LIST', 'TYPE', 'PUBSUB'));
      const ids = [...clients.matchAll(/^id=(\d+)/gm)].map((m) => m[1] ?? '');
      for (const id of ids) await t.redis.client('KILL', 'ID', id).catch(() => undefined); // it may have gone
    };
    const [got] = await Promise.all([collect(follower), run(task, events, cut)]);
    follower.close();
    expect(got).to.deep.equal(events);
  });

  it('finds an end whose message was lost', async () => {
    const task = await t.submitted();
    const follower = await open(task);
    await t.claim(task, 'c');
    const emitter = t.emitter(task, { claimId: 'c', epoch: 1 });
    await emitter.emit('one');
    expect(await follower.next({ withinMs: 5_000 })).to.include({ data: 'one' });
    // Written behind the back of the channel, as if its message had been dropped.
    const { stream } = t.door.keys.pool('p').task(task.taskId);
    await t.redis.xadd(
      stream,
      '1-2',
      'e',
      JSON.stringify(done),
      'c',
      'c',
      'at',
      '1',
      'claimedAt',
      '',
      'firstAt',
      '',
    );
    expect(await follower.next({ withinMs: 5_000 })).to.include({ kind: 'end' });
    follower.close();
  });

  it('takes rubbish on the channel for a reason to read the record', async () => {
    const task = await t.submitted();
    const follower = await open(task);
    const { channel } = t.door.keys.pool('p').task(task.taskId);
    for (const text of ['{', '[]', '[1]', '[1,"x",[]]', 'null', '[1,99,["forged gap"]]'])
      await t.redis.spublish(channel, text);
    const [got] = await Promise.all([collect(follower), run(task, ['a', 'b'])]);
    follower.close();
    expect(got).to.deep.equal(['a', 'b']);
  });

  it('gives up waiting when asked to', async () => {
    const follower = await open(await t.submitted());
    expect(await follower.next({ withinMs: 30 })).to.equal(null);
    const gone = new AbortController();
    const waiting = follower.next({ withinMs: 60_000, signal: gone.signal });
    gone.abort();
    expect(await waiting).to.equal(null);
    follower.close();
  });
});
