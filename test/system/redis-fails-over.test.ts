import { once } from 'node:events';
import { expect } from 'chai';
import fc from 'fast-check';
import { keepAsking, openRedis } from '../../core/queue/link/connect.ts';
import { inspectRedis } from '../../core/queue/link/inspect.ts';
import { slotOf } from '../../core/queue/link/primary.ts';
import { redisPlaceNames, redisPlaceOf } from '../../core/queue/link/where.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { readConfig } from '../../core/runtime/settings/config.ts';
import { createLog } from '../../core/runtime/log.ts';
import { chats, startBackend } from '../support/backend.ts';
import { note } from '../support/measured.ts';
import {
  startSentinelTrio,
  startSmallCluster,
  type SentinelTrio,
  type SmallCluster,
} from '../support/redis-servers.ts';
import { nextText, sseData } from '../support/sse.ts';
import { startSystem, transports, until } from '../support/system.ts';

interface Chunk {
  choices?: { delta?: { content?: string | null } }[];
  error?: { code?: string };
}

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const request = { messages: [{ role: 'user', content: 'hi' }] };
const TEXT = ['a', 'b', 'c', 'd', 'e', 'f'];
const STREAMS = 8;

/** A house over some kind of Redis: a busy pool, and a stream that is held open, with a worker of each transport. */
async function openHouse(env: Record<string, string>) {
  const t = await startSystem(env);
  const [busy, ...own] = await Promise.all([startBackend(), ...transports.map(() => startBackend())]);
  busy.reply(chats(TEXT, { intervalMs: 20 }));
  const backends = Object.fromEntries(transports.map((transport, n) => [transport, own[n] ?? busy]));
  for (const backend of own) backend.reply(chats(TEXT, { paced: true }));
  await Promise.all(
    transports.map(async (transport) => {
      const offers = [
        { name: transport, backend: backends[transport] ?? busy },
        { name: `busy-${transport}`, poolName: 'busy', maxConcurrency: 4, backend: busy },
      ];
      await t.startWorker(offers, { transport });
    }),
  );
  /** What broke off streams. */
  const ended = new Set<string>();
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
    let text = '';
    let error: string | undefined;
    for await (const data of sseData(answer)) {
      if (data === '[DONE]') continue;
      const chunk = JSON.parse(data) as Chunk;
      text += chunk.choices?.[0]?.delta?.content ?? '';
      error ??= chunk.error?.code;
    }
    if (error !== undefined) {
      // A replica that was behind has lost events that were shown: such a stream ends, and says so.
      expect(TEXT.join('').startsWith(text), text).to.equal(true);
      ended.add(error);
      return null;
    }
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

  /** Does harm under load, one after the other, until all is well again. @returns how long after each the first answer came. */
  const survive = async (...harms: (() => Promise<void>)[]): Promise<number[]> => {
    await until(
      () => t.call('GET', '/readyz'),
      ({ status }) => status === 200,
    );
    const open = Object.fromEntries(
      await Promise.all(
        transports.map(async (transport) => {
          const body = { ...request, stream: true };
          const answer = t.call('POST', `/api/v1/llms/${transport}/infer`, { body });
          await backends[transport]?.next('request');
          backends[transport]?.release();
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
    const answers = async (more: number): Promise<void> => {
      const before = running.texts.length;
      await until(
        () => Promise.resolve(running.texts.length),
        (n) => n >= before + more,
        20_000,
      );
    };
    const backMs: number[] = [];
    for (const harm of harms) {
      await harm();
      const from = performance.now();
      await answers(1);
      backMs.push(performance.now() - from);
      await answers(20);
    }
    for (const [transport, events] of Object.entries(open)) {
      backends[transport]?.release(TEXT.length - 1);
      let text = 'a';
      for (let more = await nextText(events); more !== undefined; more = await nextText(events)) text += more;
      expect(text, transport).to.equal(TEXT.join(''));
    }
    stop.abort();
    await running.over;
    expect([...new Set(running.texts)]).to.deep.equal([TEXT.join('')]);
    expect([...running.seen]).to.deep.equal(['active']);
    for (const code of ended) expect(code).to.be.oneOf(['worker_lost', 'unavailable']);
    await until(
      () => t.openTasks(),
      (n) => n === 0,
      20_000,
    );
    expect(running.ids.length).to.be.above(5);
    for (const id of running.ids) expect(await t.task(id)).to.include({ status: 'completed', crashes: 0 });
    await t.scheduler.event('redis.went_back', (line) => line['how'] === 'other');
    return backMs;
  };
  return {
    t,
    survive,
    async close() {
      await t.close();
      await Promise.all([busy, ...own].map((backend) => backend.close()));
    },
  };
}

type House = Awaited<ReturnType<typeof openHouse>>;

describe('a Redis that Sentinels watch', function () {
  this.timeout(60_000);
  let trio: SentinelTrio;
  let house: House;
  before(async () => {
    trio = await startSentinelTrio();
    house = await openHouse(trio.env);
  });
  after(async () => {
    await house.close();
    await trio.close();
  });

  it('is found by its Sentinels, and each setting that is wrong is told at the start', async () => {
    const faultsOf = async (env: Record<string, string>): Promise<string> => {
      const { faults, away } = await inspectRedis(readConfig({ ...trio.env, ...env }, redisPlaceNames));
      return [...faults, away ?? []]
        .flat()
        .map(({ path, message }) => `${path}: ${message}`)
        .join();
    };
    expect(await faultsOf({})).to.equal('');
    // One that is dead is no fault while others answer.
    expect(await faultsOf({ REDIS_SENTINELS: `127.0.0.1:1,${trio.env.REDIS_SENTINELS}` })).to.equal('');
    expect(await faultsOf({ REDIS_SENTINEL_NAME: 'x' })).to.match(/called 'x': correct REDIS_SENTINEL_NAME/);
    expect(await faultsOf({ REDIS_SENTINELS: '127.0.0.1:1' })).to.match(
      /^REDIS_SENTINELS: no Sentinel answers/,
    );
    expect(await faultsOf({ REDIS_SENTINELS: trio.env.REDIS_URL })).to.match(/correct REDIS_SENTINELS$/);
    expect(await faultsOf({ REDIS_URL: '' })).to.match(/^REDIS_URL: it refused the user or password/);
    const address = `redis://:${trio.servers.password}@127.0.0.1:${String(trio.sentinels[0]?.port)}`;
    const nobody = trio.env.REDIS_SENTINELS.replaceAll(`:${trio.servers.password}@`, '');
    expect(await faultsOf({ REDIS_SENTINELS: nobody })).to.match(/NOAUTH .*correct REDIS_SENTINELS$/);
    expect(await faultsOf({ REDIS_SENTINELS: '', REDIS_URL: address })).to.match(
      /name it .* in REDIS_SENTINELS/,
    );
    expect(() => readConfig({ ...trio.env, REDIS_SENTINELS: 's1:port' }, redisPlaceNames)).to.throw(
      /write host:port/,
    );
  });

  it('leaves a primary that was demoted and answers all the same, and does not settle there again', async () => {
    const at = { ...redisPlaceOf(readConfig(trio.env, redisPlaceNames)), clock: systemClock, log };
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

  it('fails over under load: nothing is lost, spliced or stuck, and no worker is taken for dead', async function () {
    const backMs = await house.survive(async () => void (await trio.failOver('')));
    note(this, backMs);
  });
});

describe('a Redis Cluster', function () {
  this.timeout(60_000);
  let cluster: SmallCluster;
  let house: House;
  before(async () => {
    cluster = await startSmallCluster();
    house = await openHouse(cluster.env);
  });
  after(async () => {
    await house.close();
    await cluster.close();
  });
  const ours = (): string => `{${house.t.sandbox.namespace}}`;

  it('is found by several of its nodes, and our keys are in the slot that it says', async () => {
    const config = readConfig(cluster.env, redisPlaceNames);
    expect(await inspectRedis(config)).to.deep.equal({ faults: [] });
    const { faults } = await inspectRedis({ ...config, redisNodes: [] });
    expect(faults[0]?.message).to.match(/node of a Redis Cluster: write several/);
    const { redis } = await cluster.ownerOf(ours());
    const key = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('{', '}', 'a', 'é') }));
    const isSame = fc.asyncProperty(key, async (text) => {
      expect(slotOf(text)).to.equal(Number(await redis.call('CLUSTER', 'KEYSLOT', text)));
    });
    await fc.assert(isSame, { numRuns: 200 });
  });

  it('moves our slot under load, and then loses the node that has it: nothing is lost, spliced or stuck', async function () {
    const backMs = await house.survive(
      async () => void (await cluster.moveSlot(ours())),
      async () => void (await cluster.failOver(ours())),
    );
    note(this, backMs);
  });
});
