import { expect } from 'chai';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { sseData } from '../support/sse.ts';
import { until } from '../support/system.ts';
import { submitTask } from '../support/tasks.ts';
import { wireToUrl, type Wire } from '../support/wire.ts';
import { SseWorker } from '../relay/sse-worker.ts';

const messages = [{ role: 'user', content: 'hi' }];

describe('a token that is revoked while Redis is away', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  let redis: Wire;
  before(async () => {
    const redisUrl = process.env['REDIS_URL'] ?? '';
    redis = await wireToUrl(redisUrl);
    t = await edgeFixture({}, { redisUrl: redis.url(redisUrl) });
  });
  after(async () => {
    redis.mend();
    await t.close();
    await redis.close();
  });

  it('ends what it has open all the same', async () => {
    const made = { userId: t.ada.id, name: 'mine', pools: null, expiresInDays: null, createdBy: null };
    const { row: token, text } = await t.registry.tokens.create(made);
    const worker = new SseWorker({ url: t.url, token: text });
    await worker.register([{ name: 'away', maxConcurrency: 1 }]);
    const stream = await worker.open();
    const task = await submitTask(t, {
      poolKey: 'away',
      streaming: true,
      requestBody: JSON.stringify({ messages, stream: true }),
    });
    const uplink = worker.uplink(await stream.next('infer')).beating();
    const authorization = `Bearer ${text}`;
    const waiting = fetch(`${t.url}/api/v1/tasks/${task.id}?wait=30`, { headers: { authorization } });
    const { redis: commands, keys } = t.deps.queue;
    const { channel } = keys.pool('away').task(task.id);
    await until(
      async () => Number((await commands.pubsub('SHARDNUMSUB', channel))[1]),
      (listening) => listening > 0,
    );
    const looking = await fetch(`${t.url}/api/v1/tasks/${task.id}/stream`, { headers: { authorization } });
    redis.freeze();
    await t.connection.db.raw('update tokens set revoked_at = now() where id = ?', [token.id]);
    const events: string[] = [];
    for await (const data of sseData(looking)) events.push(data);
    expect(JSON.parse(events.at(-1) ?? '')).to.have.nested.property('error.code', 'unauthenticated');
    expect(events).to.not.include('[DONE]');
    expect((await waiting).status).to.equal(401);
    expect((await uplink.answer).status).to.equal(401);
    await stream.closed;
    expect(stream.events.at(-1)).to.include({ name: 'ended' });
  });
});
