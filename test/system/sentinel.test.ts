import { once } from 'node:events';
import { expect } from 'chai';
import { keepAsking, openRedis } from '../../core/queue/connect.ts';
import { inspectRedis } from '../../core/queue/inspect.ts';
import { redisPlaceOf } from '../../core/queue/where.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { readConfig } from '../../core/runtime/config.ts';
import { createLog } from '../../core/runtime/log.ts';
import { chats, startBackend, type Backend } from '../support/backend.ts';
import { measured } from '../support/measured.ts';
import { startSentinelTrio, untilSaid, type SentinelTrio, type Server } from '../support/redis-servers.ts';
import { nextText, sseData } from '../support/sse.ts';
import { startSystem, transports, until, type System } from '../support/system.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const request = { messages: [{ role: 'user', content: 'hi' }] };
const names = ['redisUrl', 'redisTlsVerify', 'redisCa', 'redisSentinels', 'redisSentinelName'] as const;
const TEXT = ['a', 'b', 'c', 'd', 'e', 'f'];
const STREAMS = 8;

describe('a Redis that Sentinels watch', function () {
  this.timeout(60_000);
  let trio: SentinelTrio;
  let t: System;
  /** Of the stream that is held open over the fail-over, one worker of each transport. */
  let held: Record<string, Backend>;
  let busy: Backend;

  before(async () => {
    trio = await startSentinelTrio();
    t = await startSystem(trio.env);
    [busy, held] = [await startBackend(), {}];
    busy.reply(chats(TEXT, { intervalMs: 20 }));
    for (const transport of transports) {
      const backend = (held[transport] = await startBackend());
      backend.reply(chats(TEXT, { paced: true }));
      const offers = [
        { name: transport, backend },
        { name: `busy-${transport}`, poolName: 'busy', maxConcurrency: 4, backend: busy },
      ];
      await t.startWorker(offers, { transport });
    }
  });
  after(async () => {
    await t.close();
    await Promise.all([busy, ...Object.values(held)].map((backend) => backend.close()));
    await trio.close();
  });

  it('is found by its Sentinels, and each setting that is wrong is told at the start', async () => {
    const told = async (env: Record<string, string>): Promise<string> => {
      const { faults, away } = await inspectRedis(readConfig({ ...trio.env, ...env }, names));
      return [...faults, away ?? []]
        .flat()
        .map(({ path, message }) => `${path}: ${message}`)
        .join();
    };
    expect(await told({})).to.equal('');
    // One that is dead is no fault while others answer.
    expect(await told({ REDIS_SENTINELS: `127.0.0.1:1,${trio.env.REDIS_SENTINELS}` })).to.equal('');
    expect(await told({ REDIS_SENTINEL_NAME: 'x' })).to.match(/called 'x': correct REDIS_SENTINEL_NAME/);
    expect(await told({ REDIS_SENTINELS: '127.0.0.1:1' })).to.match(/^REDIS_SENTINELS: no Sentinel answers/);
    expect(await told({ REDIS_SENTINELS: trio.env.REDIS_URL })).to.match(/correct REDIS_SENTINELS$/);
    expect(await told({ REDIS_URL: '' })).to.match(/^REDIS_URL: it refused the user or password/);
    const address = `redis://127.0.0.1:${String(trio.sentinels[0]?.port)}`;
    expect(await told({ REDIS_SENTINELS: '', REDIS_URL: address })).to.match(/name it .* in REDIS_SENTINELS/);
    expect(() => readConfig({ ...trio.env, REDIS_SENTINELS: 's1:port' }, names)).to.throw(/write host:port/);
  });

  it('leaves a primary that was demoted and answers all the same, and does not settle there again', async () => {
    const at = { ...redisPlaceOf(readConfig(trio.env, names)), clock: systemClock, log };
    const { redis: primary } = await trio.primary();
    // One that hears and says nothing itself: nobody tells it that this takes no writes.
    const redis = openRedis('subscriber', at);
    await redis.connect();
    const stopAsking = keepAsking(redis, log);
    const ready = { count: 0 };
    redis.on('ready', () => (ready.count += 1));
    const left = once(redis, 'close');
    await primary.replicaof('127.0.0.1', '1');
    await left;
    const again = once(redis, 'close');
    await again; // it was met again, and is still the same
    expect(ready.count).to.equal(0);
    const back = once(redis, 'ready');
    await primary.replicaof('NO', 'ONE');
    await back;
    stopAsking();
    redis.disconnect();
  });

  /** What somebody gets who calls once, whole or as a stream; null for one who was told to come again. */
  const call = async (stream: boolean): Promise<string | null> => {
    const body = { ...request, stream };
    const answer = await t.call('POST', '/api/v1/llms/busy/infer', { body });
    if (answer.status !== 200) {
      expect(answer.status, await answer.text()).to.equal(503);
      return null;
    }
    if (!stream) {
      const whole = (await answer.json()) as { choices: { message: { content: string } }[] };
      return whole.choices[0]?.message.content ?? '';
    }
    const events = sseData(answer);
    let text = '';
    for (let more = await nextText(events); more !== undefined; more = await nextText(events)) text += more;
    return text;
  };
  /** Calls, async tasks and looks at the rows, all the time. */
  const load = (signal: AbortSignal) => {
    const ids: string[] = [];
    const texts: string[] = [];
    const seen = new Set<string>();
    const again = async (what: () => Promise<unknown>): Promise<void> => {
      while (!signal.aborted) await what();
    };
    const one = async (stream: boolean): Promise<void> => {
      const text = await call(stream);
      if (text !== null) texts.push(text);
    };
    const submit = async (): Promise<void> => {
      const answer = await t.call('POST', '/api/v1/tasks', { body: { llm: 'busy', request } });
      const { id, task } = (await answer.json()) as { id?: string; task?: string };
      if (answer.status === 202 && id !== undefined) ids.push(id);
      else expect(answer.status, task).to.equal(503);
      await until(
        () => t.openTasks('busy'),
        (open) => open < 30 || signal.aborted,
        30_000,
      );
    };
    const look = async (): Promise<void> => {
      const answer = await t.call('GET', '/api/v1/llms');
      if (answer.status !== 200) return;
      for (const { status } of ((await answer.json()) as { items: { status: string }[] }).items)
        seen.add(status);
    };
    const all = [again(submit), again(submit), again(look)];
    for (let n = 0; n < STREAMS; n++) all.push(again(() => one(n % 2 === 0)));
    return { ids, texts, seen, over: Promise.all(all) };
  };

  const harms: Record<string, (primary: Server, other: Server) => Promise<void>> = {
    'is killed': async (primary) => await primary.kill('SIGKILL'),
  };

  for (const [how, harm] of Object.entries(harms))
    it(`${how} under load: nothing is lost, spliced or stuck, and no worker is taken for dead`, async function () {
      const open = Object.fromEntries(
        await Promise.all(
          transports.map(async (transport) => {
            const body = { ...request, stream: true };
            const answer = t.call('POST', `/api/v1/llms/${transport}/infer`, { body });
            await held[transport]?.next('request');
            held[transport]?.release();
            const events = sseData(await answer);
            expect(await nextText(events)).to.equal('a');
            return [transport, events] as const;
          }),
        ),
      );
      const stop = new AbortController();
      const running = load(stop.signal);
      await until(
        () => Promise.resolve(running.texts.length),
        (n) => n > 10,
      );
      const primary = await trio.primary();
      const other = trio.data.find((server) => server !== primary) ?? primary;
      await harm(primary, other);
      await untilSaid(other, 'replication', /role:master/);
      const before = running.texts.length;
      await measured(this, () =>
        until(
          () => Promise.resolve(running.texts.length),
          (n) => n > before,
        ),
      );
      const after = running.texts.length;
      await until(
        () => Promise.resolve(running.texts.length),
        (n) => n > after + 20,
        20_000,
      );
      for (const [transport, events] of Object.entries(open)) {
        held[transport]?.release(TEXT.length - 1);
        let text = 'a';
        for (let more = await nextText(events); more !== undefined; more = await nextText(events))
          text += more;
        expect(text, transport).to.equal(TEXT.join(''));
      }
      stop.abort();
      await running.over;
      expect([...new Set(running.texts)]).to.deep.equal([TEXT.join('')]);
      expect([...running.seen]).to.deep.equal(['active']);
      await until(
        () => t.openTasks(),
        (n) => n === 0,
        20_000,
      );
      expect(running.ids.length).to.be.above(5);
      for (const id of running.ids) expect(await t.task(id)).to.include({ status: 'completed', crashes: 0 });
      await t.scheduler.event('redis.went_back', (line) => line['how'] === 'other');
    });
});
