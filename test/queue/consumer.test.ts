import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { openRedis } from '../../core/queue/link/connect.ts';
import { Consumer, type TakenJob } from '../../core/queue/jobs/consumer.ts';
import { Fetchers } from '../../core/queue/jobs/fetchers.ts';
import { MarkerMux } from '../../core/queue/jobs/marker-mux.ts';
import { markerOf, ownMarkers } from '../../core/queue/jobs/markers.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { Slots } from '../../core/member/slots.ts';
import { until } from '../support/system.ts';
import { wireToUrl } from '../support/wire.ts';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const url = process.env['REDIS_URL'] ?? '';

describe('how often a consumer looks into its queues', function () {
  this.timeout(30_000);
  let t: QueueFixture;
  before(async () => {
    t = await queueFixture();
  });
  after(() => t.close());

  /** Runs `tasks` one by one, or all that are there at once. @returns how often it looked, for how long, and in which order they ran. */
  async function play(tasks: readonly { pin?: string }[], { oneByOne }: { oneByOne: boolean }) {
    const poolKey = `p ${randomUUID()}`;
    const fetchers = new Fetchers({ redis: t.redis, prefix: t.door.keys.namespace, log });
    let looks = 0;
    const ran: string[] = [];
    let over: () => void = () => undefined;
    const counting = {
      next: (queues: readonly string[]) => ((looks += 1), fetchers.next(queues)),
    } as unknown as Fetchers;
    const blocking = openRedis('blocking', { url, verifyTls: true, clock, log });
    const consumer = new Consumer({
      fetchers: counting,
      markers: ownMarkers({ commands: t.redis, blocking, keys: t.door.keys }),
      keys: t.door.keys,
      member: { llmId: 'llm-1', poolKey },
      slots: new Slots(4),
      gate: { isOpen: () => true, untilOpen: () => Promise.resolve() },
      run: async (job) => {
        ran.push(job.taskId);
        await job.complete();
        over();
      },
      clock,
      log,
    });
    const one = async (pin?: string): Promise<string> =>
      (await t.submitted({ taskId: randomUUID(), poolKey, ...(pin ? { pin } : {}) })).taskId;
    const ids: string[] = [];
    if (!oneByOne) for (const { pin } of tasks) ids.push(await one(pin));
    const since = performance.now();
    await consumer.start();
    for (const { pin } of tasks) {
      const next = new Promise<void>((resolve) => (over = resolve));
      if (oneByOne) ids.push(await one(pin));
      if (ran.length < ids.length) await next;
    }
    while (ran.length < tasks.length) await new Promise<void>((resolve) => (over = resolve));
    const asked = looks;
    const forS = Math.ceil((performance.now() - since) / 1_000);
    await consumer.drain();
    await fetchers.close();
    return { looks: asked, forS, ran, ids };
  }

  it('is once for a task that comes alone', async () => {
    const { looks, forS, ran, ids } = await play(
      Array.from({ length: 20 }, () => ({})),
      { oneByOne: true },
    );
    expect(ran).to.deep.equal(ids);
    // One at its start, and one each second in which nothing comes.
    expect(looks).to.be.at.most(20 + 1 + forS);
  });

  it('finds what it took again where the answer was lost on its way, and leaves no claim to the reaper', async () => {
    const poolKey = `p ${randomUUID()}`;
    const [first, second] = [await t.submitted({ poolKey }), await t.submitted({ poolKey })];
    const wire = await wireToUrl(url);
    const far = openRedis('commands', { url: wire.url(url), verifyTls: true, clock, log });
    await far.connect();
    const fetchers = new Fetchers({ redis: far, prefix: t.door.keys.namespace, log });
    const ran: TakenJob[] = [];
    let over: () => void = () => undefined;
    const taken = new Promise<void>((resolve) => (over = resolve));
    const consumer = new Consumer({
      fetchers,
      markers: { wait: () => taken.then(() => null), passOn: () => Promise.resolve() },
      keys: t.door.keys,
      member: { llmId: 'llm-1', poolKey },
      slots: new Slots(1),
      gate: { isOpen: () => true, untilOpen: () => Promise.resolve() },
      claimant: () => ({ claimId: randomUUID(), session: randomUUID(), boot: 'b', llmId: 'llm-1' }),
      run: (job) => {
        ran.push(job);
        over();
        return new Promise(() => undefined);
      },
      clock,
      log,
    });
    wire.blackhole({ way: 'down', newOnes: 'open' });
    await consumer.start();
    const claim = await until(
      async () => (await t.fence(first))?.claim ?? '',
      (claimed) => claimed !== '',
    );
    wire.reset();
    await taken;
    expect(ran[0]).to.include({ taskId: first.taskId });
    expect(ran[0]?.early).to.deep.include({ claimId: claim });
    expect(ran[0]?.early?.answer).to.have.property('epoch', 1);
    expect((await t.fence(second))?.claim).to.equal('');
    void consumer.stop();
    await fetchers.close();
    far.disconnect();
    await wire.close();
  });

  it('finds pinned ones among a heap of others, first', async () => {
    const tasks = [...Array.from({ length: 20 }, () => ({})), { pin: 'llm-1' }];
    const { ran, ids } = await play(tasks, { oneByOne: false });
    expect([...ran].sort()).to.deep.equal([...ids].sort());
    expect(ran.indexOf(ids.at(-1) ?? '')).to.equal(0);
  });
});

describe('consumers that one connection waits for', function () {
  let t: QueueFixture;
  const ends: (() => Promise<unknown>)[] = [];
  before(async () => {
    t = await queueFixture();
  });
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });
  after(() => t.close());

  async function started(lookMs: number): Promise<MarkerMux> {
    const blocking = openRedis('blocking', { url, verifyTls: true, clock, log });
    const keys = t.door.keys;
    const mux = new MarkerMux({ commands: t.redis, blocking, keys, id: randomUUID(), lookMs, clock, log });
    await mux.start();
    ends.push(() => mux.stop());
    return mux;
  }
  async function consume(mux: MarkerMux, poolKey: string, run: (job: TakenJob) => Promise<void>) {
    const consumer = new Consumer({
      fetchers: t.fetchers,
      markers: mux.markers,
      keys: t.door.keys,
      member: { llmId: randomUUID(), poolKey },
      slots: new Slots(1),
      gate: { isOpen: () => true, untilOpen: () => Promise.resolve() },
      run,
      clock,
      log,
    });
    await consumer.start();
    ends.push(() => consumer.drain());
  }

  for (const priority of ['interactive', 'background'] as const)
    it(`are told of a job that one of them has put aside for the others: ${priority}`, async () => {
      const mux = await started(3_600_000);
      const poolKey = `p ${randomUUID()}`;
      await consume(mux, poolKey, (job) => Promise.resolve(job.later(10)));
      const taken = new Promise<string>((resolve) => {
        void consume(mux, poolKey, async (job) => {
          await job.complete();
          resolve(job.taskId);
        });
      });
      const { taskId } = await t.submitted({ poolKey, priority });
      expect(await taken).to.equal(taskId);
    });

  it('find a job of which nobody was told, when they look', async () => {
    const mux = await started(500);
    const poolKey = `p ${randomUUID()}`;
    const queue = t.door.keys.pool(poolKey).queue();
    const { taskId } = await t.submitted({ poolKey });
    await t.redis.del(markerOf(t.door.keys, queue));
    expect(await mux.markers.wait([queue], new AbortController().signal)).to.equal(queue);
    expect((await t.fetchers.next([queue]))?.taskId).to.equal(taskId);
  });
});
