import { expect } from 'chai';
import { createWakes, holdWhile, type Wakes } from '../../core/queue/live/wake.ts';
import { pause, systemClock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import type { WakeResult } from '../../core/member/wake.ts';
import { queueFixture, type QueueFixture } from '../queue/queue-fixture.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const worked: WakeResult = { ok: true, ms: 1 };

describe('the lease of a wake', () => {
  let t: QueueFixture;
  let wakes: Wakes;
  beforeEach(async () => {
    t = await queueFixture();
    wakes = createWakes({ redis: t.redis, keys: t.door.keys });
  });
  afterEach(() => t.close());
  const read = async (id = 'L') => (await wakes.read([id]))[0];
  const ttl = (id = 'L') => t.redis.pttl(t.door.keys.wake(id));
  const holding = (by: string, wake: () => Promise<WakeResult>) =>
    holdWhile({ wakes, clock: systemClock, log }, { llmId: 'L', by }, wake);

  it('is one worker’s, who alone renews it, and lives 5 s', async () => {
    expect(await wakes.hold('L', 'a', 0)).to.equal(true);
    expect(await wakes.hold('L', 'b', 0)).to.equal(false);
    await wakes.over('L', 'b');
    await wakes.fail('L', 'b', 'not mine');
    expect(await read()).to.deep.include({ failed: null });
    await t.redis.pexpire(t.door.keys.wake('L'), 100);
    expect(await wakes.hold('L', 'a', 0)).to.equal(true);
    expect(await ttl()).to.be.within(4_000, 5_000);
    await wakes.over('L', 'a');
    expect(await wakes.hold('L', 'b', 0)).to.equal(true);
  });

  it('says since when, also after Redis has forgotten it', async () => {
    await wakes.hold('L', 'a', 0);
    await pause(20);
    await wakes.hold('L', 'a', 9_000);
    expect((await read())?.waking?.sinceMs).to.be.within(20, 5_000);
    await t.redis.del(t.door.keys.wake('L'));
    await wakes.hold('L', 'a', 12_000);
    expect((await read())?.waking?.sinceMs).to.be.within(12_000, 15_000);
    expect(await read('M')).to.deep.equal({ waking: null, failed: null });
  });

  it('keeps a failure for 10 s, also beside the next try', async () => {
    await wakes.hold('L', 'a', 0);
    await wakes.fail('L', 'a', 'the\u001b[31m machine\n is off\ud800');
    const failed = await read();
    expect(failed?.waking).to.equal(null);
    expect(failed?.failed?.reason).to.equal('the [31m machine is off\ufffd');
    expect(failed?.failed?.ageMs).to.be.within(0, 5_000);
    expect(await ttl()).to.be.within(8_000, 10_000);
    expect(await wakes.hold('L', 'b', 0)).to.equal(true);
    const again = await read();
    expect(again?.waking).not.to.equal(null);
    expect(again?.failed?.at).to.equal(failed?.failed?.at);
  });

  it('reads what no worker of ours wrote as nothing', async () => {
    await t.redis.set(t.door.keys.wake('L'), 'not json');
    expect(await read()).to.deep.equal({ waking: null, failed: null });
    await t.redis.set(t.door.keys.wake('L'), '{"phase":"dancing"}');
    expect(await read()).to.deep.equal({ waking: null, failed: null });
  });

  it('is held while the wake runs, longer than it lives, and free afterwards', async () => {
    let finish: (result: WakeResult) => void = () => undefined;
    const holder = holding('a', () => new Promise((resolve) => (finish = resolve)));
    await pause(6_000);
    expect(await holding('b', () => Promise.resolve(worked))).to.equal(null);
    finish(worked);
    expect(await holder).to.equal(worked);
    expect(await read()).to.deep.equal({ waking: null, failed: null });
  });

  it('tells a wake that throws as one that failed', async () => {
    expect(await holding('a', () => Promise.reject(new TypeError('odd')))).to.deep.equal({
      ok: false,
      message: 'odd',
    });
    expect((await read())?.failed?.reason).to.equal('odd');
  });

  it('does not run where Redis cannot say whose it is', async () => {
    t.redis.disconnect();
    let ran = false;
    const result = await holding('a', () => {
      ran = true;
      return Promise.resolve(worked);
    });
    expect([result, ran]).to.deep.equal([null, false]);
    await t.redis.connect();
  });
});
