import { expect } from 'chai';
import { chats } from '../support/backend.ts';
import { startOwnRedis, type OwnRedis } from '../support/own-redis.ts';
import { nextText, sseData } from '../support/sse.ts';
import { startSystem, transports, until, type System } from '../support/system.ts';

const body = { messages: [{ role: 'user', content: 'hi' }] };

interface Ready {
  checks: { name: string; status: string }[];
}

/** Redis answers, and refuses: each is switched on in the middle of a stream, and off again. */
const refusals: Record<
  string,
  { on: (own: OwnRedis) => Promise<unknown>; off: (own: OwnRedis) => Promise<unknown>; says: RegExp }
> = {
  'it has too few replicas (NOREPLICAS)': {
    on: ({ redis }) => redis.config('SET', 'min-replicas-to-write', '1'),
    off: ({ redis }) => redis.config('SET', 'min-replicas-to-write', '0'),
    says: /Redis is starting, failing over or busy/,
  },
  'it is full (OOM)': {
    on: ({ redis }) => redis.config('SET', 'maxmemory', '1mb'),
    off: ({ redis }) => redis.config('SET', 'maxmemory', '0'),
    says: /Redis is full/,
  },
};

for (const transport of transports)
  describe(`a Redis that answers and refuses (${transport})`, function () {
    this.timeout(60_000);
    let own: OwnRedis;
    let t: System;
    before(async () => {
      own = await startOwnRedis();
      t = await startSystem({ REDIS_URL: own.url }, { transport });
      await t.startWorker([{ name: 'desk', backend: t.backend }]);
    });
    after(async () => {
      await t.close();
      await own.close();
    });

    const infer = (more: object = {}): Promise<Response> =>
      t.call('POST', '/api/v1/llms/desk/infer', { body: { ...body, ...more } });
    const redisCheck = async (): Promise<string> => {
      const answer = (await (await t.call('GET', '/readyz?verbose')).json()) as Ready;
      return answer.checks.find(({ name }) => name === 'redis')?.status ?? '';
    };

    for (const [what, { on, off, says }] of Object.entries(refusals))
      it(`${what}: what runs goes on when that is over, who comes is told what is so`, async () => {
        t.backend.reply(chats(['a', 'b', 'c', 'd'], { paced: true }));
        const events = sseData(await infer({ stream: true }));
        t.backend.release();
        let text = (await nextText(events)) ?? '';
        try {
          await on(own);
          t.backend.release(2);
          await until(redisCheck, (status) => says.test(status));
          const refused = await infer();
          expect(refused.status).to.equal(503);
          expect(((await refused.json()) as { error: string }).error).to.match(says);
        } finally {
          await off(own);
        }
        t.backend.release(Infinity);
        for (let more = await nextText(events); more !== undefined; more = await nextText(events))
          text += more;
        expect(text).to.equal('abcd');
        await until(redisCheck, (status) => status === 'ok');
        t.backend.reply(chats(['fine']));
        expect((await until(infer, ({ status }) => status === 200)).status).to.equal(200);
      });
  });
