import { expect } from 'chai';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { Follower, type Followed } from '../../core/queue/task/follow.ts';
import type { Submission } from '../../core/queue/task/submission.ts';
import { beginning, firstSeq, type Events } from '../../core/queue/task/stream.ts';
import { createLog } from '../../core/runtime/log.ts';
import { codeOf } from '../support/registry.ts';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';

const done = { kind: 'completed', status: 200 } as const;
/** 256 KiB, and what came at once: a message or a page of 64 KiB, counted at two bytes a character. */
const MOST_HELD = 512 * 1024;
const KEPT_MS = 600_000;
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
    Follower.open({ ...t.door, log, eventKeepMs: KEPT_MS }, task, after);
  const collect = async (follower: Follower): Promise<string[]> => {
    const texts: string[] = [];
    for (;;) {
      const item: Followed | null = await follower.next({ withinMs: 10_000 });
      if (item === null) throw new TypeError(`nothing came after ${texts.length} events`);
      if (item.kind === 'events') texts.push(...item.data);
      if (item.kind === 'end') return texts;
    }
  };
  const seqsOf = (entry: Events): number[] => entry.data.map((_, at) => firstSeq(entry) + at);
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
      if (n % 50 === 25) await cutChannel();
    };
    const [got] = await Promise.all([collect(follower), run(task, events, cut)]);
    follower.close();
    expect(got).to.deep.equal(events);
  });

  /** A reader who takes, pauses, loses the channel and comes back elsewhere, as the schedule says. */
  type Step = { emit: { count: number; bytes: number } } | { take: number } | 'cut' | 'come back';
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ emit: fc.record({ count: fc.integer({ min: 1, max: 40 }), bytes: fc.nat(20_000) }) }),
    fc.record({ take: fc.integer({ min: 1, max: 60 }) }),
    fc.constantFrom('cut' as const, 'come back' as const),
  );
  const cutChannel = async (): Promise<void> => {
    const clients = String(await t.redis.client('LIST', 'TYPE', 'PUBSUB'));
    const ids = [...clients.matchAll(/^id=(\d+)/gm)].map((m) => m[1] ?? '');
    for (const id of ids) await t.redis.client('KILL', 'ID', id).catch(() => undefined); // it may have gone
  };

  it('gives a reader who pauses, and comes back, every event once and in order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const task = await t.submitted();
        await t.claim(task, 'c');
        const emitter = t.emitter(task, { claimId: 'c', epoch: 1, eventBytes: 64_000_000 });
        let follower = await open(task);
        const sent: string[] = [];
        const got: string[] = [];
        let at = beginning;
        const take = async (): Promise<boolean> => {
          const item = await follower.next({ withinMs: 10_000 });
          expect(follower.heldBytes).to.be.at.most(MOST_HELD);
          if (item === null) throw new TypeError(`nothing came after ${got.length} of ${sent.length} events`);
          if (item.kind === 'events') {
            got.push(...item.data);
            at = item;
          }
          return item.kind !== 'end';
        };
        for (const now of steps) {
          if (now === 'cut') await cutChannel();
          else if (now === 'come back') {
            follower.close();
            follower = await open(task, at);
            follower.readRecord();
          } else if ('take' in now) {
            for (let n = 0; n < now.take && got.length < sent.length; n++) await take();
          } else {
            for (let n = 0; n < now.emit.count; n++) {
              const event = `${sent.length}:${'x'.repeat(now.emit.bytes)}`;
              sent.push(event);
              await emitter.emit(event);
            }
          }
        }
        await emitter.end(done);
        while (await take());
        follower.close();
        expect(got.length).to.equal(sent.length);
        expect(got.every((event, n) => event === sent[n])).to.equal(true);
      }),
      { numRuns: 25 },
    );
  });

  it('holds a bounded part of a long stream for a reader who takes nothing, and all of it is there later', async () => {
    const task = await t.submitted();
    const follower = await open(task);
    const events = Array.from({ length: 2_200 }, (_, n) => `${n}:${'x'.repeat(10_000)}`);
    let most = 0;
    await t.claim(task, 'c');
    const emitter = t.emitter(task, { claimId: 'c', epoch: 1, eventBytes: 64_000_000 });
    for (const event of events) {
      await emitter.emit(event);
      most = Math.max(most, follower.heldBytes);
    }
    await emitter.end(done);
    expect(most).to.be.within(100_000, MOST_HELD);
    const got = await collect(follower);
    follower.close();
    expect(got.length).to.equal(events.length);
    expect(got.every((event, n) => event === events[n])).to.equal(true);
  });

  it('stays for as long as somebody reads it, and no longer', async () => {
    const task = await t.submitted();
    const { stream } = t.door.keys.pool(task.poolKey).task(task.taskId);
    const events = Array.from({ length: 100 }, (_, n) => `${n}:${'x'.repeat(10_000)}`);
    await t.claim(task, 'c');
    const emitter = t.emitter(task, { claimId: 'c', epoch: 1, eventBytes: 64_000_000 });
    for (const event of events) await emitter.emit(event);
    await emitter.end(done);
    // Almost forgotten: nobody had read it for so long.
    await t.redis.pexpire(stream, 60_000);
    const follower = await open(task);
    follower.readRecord();
    expect(await collect(follower)).to.deep.equal(events);
    follower.close();
    // It is asked to stay beside the reading.
    let leftMs = 0;
    for (let looks = 0; looks < 1_000 && leftMs <= 60_000; looks += 1) leftMs = await t.redis.pttl(stream);
    expect(leftMs).to.be.within(60_001, KEPT_MS);
    // What is forgotten early, because there is too much, is not kept by who reads it.
    await t.redis.pexpire(stream, 4_000);
    const slow = await open(task);
    slow.readRecord();
    await collect(slow);
    slow.close();
    expect(await t.redis.pttl(stream)).to.be.at.most(4_000);
    await t.redis.persist(stream);
    // A reader who is there is no reason to keep what is all read.
    await t.redis.pexpire(stream, 60_000);
    const late = await open(task, { epoch: 1, seq: events.length - 1 });
    await late.begin();
    late.close();
    expect(await t.redis.pttl(stream)).to.be.at.most(60_000);
  });

  it('tells a reader who is too slow for what is kept of the gap, and one who begins there too', async () => {
    const task = await t.submitted();
    const follower = await open(task);
    await t.claim(task, 'c');
    const emitter = t.emitter(task, { claimId: 'c', epoch: 1 });
    for (let n = 0; n < 300; n++) await emitter.emit(`${n}:${'x'.repeat(10_000)}`);
    await emitter.end(done);
    const items: Followed[] = [];
    while (items.at(-1)?.kind !== 'end') {
      const item = await follower.next({ withinMs: 10_000 });
      if (item === null) throw new TypeError('the end did not come');
      items.push(item);
    }
    follower.close();
    const gap = items.findIndex(({ kind }) => kind === 'gap');
    expect(gap).to.be.greaterThan(0);
    const seqs = items.slice(0, gap).flatMap((item) => (item.kind === 'events' ? seqsOf(item) : 0));
    expect(seqs).to.deep.equal(seqs.map((_, n) => n + 1));
    expect(items.filter(({ kind }) => kind === 'gap')).to.have.length(1);
    for (const after of [beginning, { epoch: 1, seq: seqs.length }]) {
      const late = await open(task, after);
      expect(await codeOf(late.begin())).to.equal('gone');
      late.close();
    }
    const kept = items[gap + 1];
    const last = await open(task, kept?.kind === 'events' ? kept : beginning);
    await last.begin();
    expect(await last.next({ withinMs: 1_000 })).to.deep.equal(items[gap + 2]);
    last.close();
  });

  /** One that can read nothing: what it gives was told on the channel. */
  const openBlind = async (task: Submission): Promise<Follower> => {
    const redis = new Redis(process.env['REDIS_URL'] ?? '');
    await redis.quit();
    const follower = await Follower.open({ ...t.door, redis, log, eventKeepMs: KEPT_MS }, task);
    return follower;
  };

  it('hears an end, and a close, without reading the record: as they stand there', async () => {
    const ended = await t.submitted();
    const one = await openBlind(ended);
    const outcome = { ...done, body: 'a "body" / \u0000 \n \u{1f600}' };
    await t.claim(ended, 'c');
    const emitter = t.emitter(ended, { claimId: 'c', epoch: 1 });
    await emitter.emit('one');
    await emitter.end(outcome);
    const heard = [await one.next({ withinMs: 5_000 }), await one.next({ withinMs: 5_000 })];
    one.close();
    expect(heard).to.deep.equal(await t.entries(ended));
    expect(heard[1]).to.deep.include({ kind: 'end', seq: 2 }).and.have.nested.include({
      'ending.claim': 'c',
      'ending.outcome.body': outcome.body,
    });

    const closed = await t.submitted();
    const two = await openBlind(closed);
    await t.door.dispatch.close(closed, 'cancel', { kind: 'cancelled', code: 'task_cancelled', message: '' });
    const entry = await two.next({ withinMs: 5_000 });
    two.close();
    expect([entry]).to.deep.equal(await t.entries(closed));
  });

  it('reads an end that is too large for the channel, and one that does not come next', async () => {
    const large = await t.submitted();
    const blind = await openBlind(large);
    const follower = await open(large);
    await t.claim(large, 'c');
    await t.emitter(large, { claimId: 'c', epoch: 1 }).end({ ...done, body: 'x'.repeat(70_000) });
    expect(await follower.next({ withinMs: 5_000 })).to.include({ kind: 'end', seq: 1 });
    expect(await blind.next({ withinMs: 50 })).to.equal(null);
    blind.close();
    follower.close();

    const task = await t.submitted();
    const late = await open(task);
    const { stream, channel } = t.door.keys.pool('p').task(task.taskId);
    await t.redis.xadd(stream, '1-1', 'd', 'one');
    await t.redis.spublish(channel, JSON.stringify(['1-2', ['e', JSON.stringify(done), 'c', 'c']]));
    expect(await late.next({ withinMs: 900 })).to.deep.include({ data: ['one'] });
    late.close();
  });

  it('finds an end whose message was lost', async () => {
    const task = await t.submitted();
    const follower = await open(task);
    await t.claim(task, 'c');
    const emitter = t.emitter(task, { claimId: 'c', epoch: 1 });
    await emitter.emit('one');
    expect(await follower.next({ withinMs: 5_000 })).to.deep.include({ data: ['one'] });
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

  /** One of whose answer an event was read. */
  const begun = async (): Promise<{ follower: Follower; stream: string }> => {
    const task = await t.submitted();
    const follower = await open(task);
    await t.claim(task, 'c');
    await t.emitter(task, { claimId: 'c', epoch: 1 }).emit('one');
    expect(await follower.next({ withinMs: 5_000 })).to.deep.include({ data: ['one'] });
    return { follower, stream: t.door.keys.pool('p').task(task.taskId).stream };
  };

  it('says once that the stream is gone, of which something was read and not the end', async () => {
    const { follower, stream } = await begun();
    await t.redis.del(stream);
    expect(await follower.next({ withinMs: 5_000 })).to.deep.equal({ kind: 'vanished' });
    expect(await follower.next({ withinMs: 2_500 })).to.equal(null);
    follower.close();
  });

  it('takes no stream for gone whose last entry a newer release wrote, or of which all was trimmed', async () => {
    const { follower, stream } = await begun();
    await t.redis.xadd(stream, '1-2', 'newer', 'of another kind');
    expect(await follower.next({ withinMs: 1_500 })).to.equal(null);
    await t.redis.xtrim(stream, 'MAXLEN', 0);
    expect(await follower.next({ withinMs: 1_500 })).to.equal(null);
    follower.close();
  });

  it('finds the end of a claim whose last events Redis has lost, and lets that claim say no more', async () => {
    const task = await t.submitted();
    const follower = await open(task);
    await t.claim(task, 'c');
    let lost = 0;
    const emitter = t.emitter(task, { claimId: 'c', epoch: 1 }, () => (lost += 1));
    for (let n = 1; n <= 4; n++) {
      await emitter.emit(`e${n}`);
      expect(await follower.next({ withinMs: 5_000 })).to.deep.include({ data: [`e${n}`] });
    }
    // As after a failover to a replica that was behind.
    const { stream, fence } = t.door.keys.pool('p').task(task.taskId);
    await t.redis.xdel(stream, '1-2', '1-3', '1-4');
    await t.redis.xsetid(stream, '1-1');
    await t.redis.hset(fence, 'seq', 1);
    await emitter.emit('e5');
    expect(await emitter.end(done)).to.equal(false);
    expect(lost).to.equal(1);
    await t.door.dispatch.endFor({ ...task }, 'c', { kind: 'failed', code: 'worker_lost', message: 'Lost.' });
    expect(await follower.next({ withinMs: 5_000 })).to.include({ kind: 'end', seq: 2 });
    expect(await follower.next({ withinMs: 2_500 })).to.equal(null);
    follower.close();
  });

  it('takes rubbish on the channel for a reason to read the record', async () => {
    const task = await t.submitted();
    const follower = await open(task);
    const { channel } = t.door.keys.pool('p').task(task.taskId);
    const forged = [
      '1-99\n"forged gap"',
      '1-1',
      'x-1\n"1"',
      '["1-1",["d","forged"]]',
      '["1-9",["e","{}"]]',
      '["x",["e","{}"]]',
      '["1-1",["y"]]',
    ];
    for (const text of ['{', '[]', '[1]', '[1,"x",[]]', 'null', ...forged])
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
