import { expect } from 'chai';
import { Redis } from 'ioredis';
import { chats } from '../support/backend.ts';
import { measured } from '../support/measured.ts';
import { nextText, sseData } from '../support/sse.ts';
import { startSystem, until, type System } from '../support/system.ts';
import { wireToUrl, type Wire } from '../support/wire.ts';

const body = { messages: [{ role: 'user', content: 'hi' }] };
const HEALED_MS = 15_000;
const databaseUrl = process.env['DATABASE_URL'] ?? '';
const redisUrl = process.env['REDIS_URL'] ?? '';

/** A process's own paths to Redis and Postgres. */
interface Paths {
  redis: Wire;
  postgres: Wire;
  env: Record<string, string>;
}

async function newPaths(): Promise<Paths> {
  const [redis, postgres] = await Promise.all([wireToUrl(redisUrl), wireToUrl(databaseUrl)]);
  const env = { REDIS_URL: redis.url(redisUrl), DATABASE_URL: postgres.url(databaseUrl) };
  return { redis, postgres, env };
}

/** The usual drop of a NAT: what was connected is black for ever, without a reset; whoever connects anew gets through. */
describe('connections that are black for ever', function () {
  this.timeout(60_000);
  let t: System;
  let edge: Paths;
  let scheduler: Paths;
  let worker: Paths;
  let direct: Redis;

  const infer = (more: object = {}): Promise<Response> =>
    t.call('POST', '/api/v1/llms/desk/infer', { body: { ...body, ...more } });
  const healed = (context: Mocha.Context, ask: () => Promise<boolean>): Promise<boolean> =>
    measured(context, () => until(ask, (fine) => fine, HEALED_MS));
  const posts = (): number => t.backend.requests.filter((r) => r.method === 'POST').length;
  const serves = async (): Promise<boolean> => (await infer()).status === 200;
  /** A stream whose first delta was seen. */
  const openStream = async () => {
    t.backend.reply(chats(['one', 'two', 'three'], { paced: true }));
    const calling = infer({ stream: true });
    t.backend.release();
    const events = sseData(await calling);
    expect(await nextText(events)).to.equal('one');
    t.backend.reply(chats(['fine']));
    return events;
  };

  before(async () => {
    [edge, scheduler, worker] = await Promise.all([newPaths(), newPaths(), newPaths()]);
    direct = new Redis(redisUrl);
    t = await startSystem({ MCPCTL_DEAD_BEAT_MS: '15000' }, { edge: edge.env, scheduler: scheduler.env });
    await t.startWorker([{ name: 'desk', backend: t.backend }], { env: worker.env });
  });
  beforeEach(() => t.backend.reply(chats(['fine'])));
  after(async () => {
    direct.disconnect();
    await t.close();
    const wires = [edge, scheduler, worker].flatMap((paths) => [paths.redis, paths.postgres]);
    await Promise.all(wires.map((wire) => wire.close()));
  });

  for (const [path, redis] of [
    ['worker', () => worker.redis],
    ['edge', () => edge.redis],
  ] as const) {
    it(`between ${path} and Redis: what runs goes on, and new calls are served`, async function () {
      const events = await openStream();
      const asked = posts();
      redis().blackhole({ newOnes: 'open' });
      t.backend.release();
      expect(await measured(this, () => nextText(events))).to.equal('two');
      await healed(this, serves);
      t.backend.release();
      expect(await nextText(events)).to.equal('three');
      expect(await nextText(events)).to.equal(undefined);
      expect(posts()).to.equal(asked + 1);
      expect(redis().struck().swallowed).to.be.above(0);
    });
  }

  it('between worker and Redis, held for seconds: what arrives late changes nothing', async () => {
    const events = await openStream();
    const asked = posts();
    worker.redis.hold();
    t.backend.release(2);
    const since = performance.now();
    await until(
      async () => performance.now() - since,
      (ms) => ms > 4_500,
    );
    worker.redis.mend();
    expect(await nextText(events)).to.equal('two');
    expect(await nextText(events)).to.equal('three');
    expect(await nextText(events)).to.equal(undefined);
    expect(posts()).to.equal(asked);
    expect(worker.redis.struck().heldBytes).to.be.above(0);
  });

  it('between edge and Postgres: one wait finds out for the whole pool of connections', async function () {
    // Rows of calls are written in few batches; lists are asked for one by one.
    await Promise.all(Array.from({ length: 30 }, () => t.call('GET', '/api/v1/tasks')));
    expect(edge.postgres.connections()).to.be.above(2);
    edge.postgres.blackhole({ newOnes: 'open' });
    const asked: number[] = [];
    await healed(this, async () => {
      const { status } = await infer();
      asked.push(status);
      return status === 200;
    });
    expect(asked.filter((status) => status !== 200)).to.deep.equal([503]);
  });

  it('between the leader and Redis: its duties are done again', async function () {
    const key = `${t.sandbox.namespace}:epoch`;
    scheduler.redis.blackhole({ newOnes: 'open' });
    await direct.del(key);
    await healed(this, async () => (await direct.exists(key)) === 1);
  });

  it('between the leader and Postgres: it leads again', async function () {
    const lease = async (): Promise<number> => {
      const leases = t.sandbox.connection.db('leases').where({ name: 'scheduler' });
      const rows = await leases.select<{ expiresAt: Date }[]>('expiresAt');
      return rows[0]?.expiresAt.getTime() ?? 0;
    };
    const first = await until(lease, (at) => at > 0);
    await until(lease, (at) => at > first);
    scheduler.postgres.blackhole({ newOnes: 'open' });
    const before = await lease();
    await healed(this, async () => (await lease()) > before);
    expect(scheduler.postgres.struck().swallowed).to.be.above(0);
  });

  it('for ever and for all, between worker and Redis: a worker that is stopped leaves within its grace', async function () {
    const wire = await wireToUrl(redisUrl);
    const env = { REDIS_URL: wire.url(redisUrl), MCPCTL_SHUTDOWN_GRACE_MS: '4000' };
    const leaver = await t.startWorker([{ name: 'leaver', backend: t.backend }], { env });
    wire.blackhole();
    expect(await measured(this, () => leaver.kill('SIGTERM'))).to.equal(0);
    await wire.close();
  });
});
