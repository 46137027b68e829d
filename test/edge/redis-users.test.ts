import { expect } from 'chai';
import { createHash, randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { createRedisUsersDuty } from '../../scheduler/duties/redis-users.ts';
import { publicLlm, edgeFixture, type Answer, type EdgeFixture } from '../support/edge.ts';
import { dropRedisUsers } from '../support/lose-redis.ts';
import { until } from '../support/system.ts';
import { dutyDeps } from '../support/tasks.ts';

interface Registered {
  providerSessionId: string;
  transport: { kind: string; namespace: string; url: string; username: string; password: string };
}

describe('workers that take their tasks from Redis', () => {
  let t: EdgeFixture;
  const open: Redis[] = [];
  beforeEach(async () => {
    t = await edgeFixture();
  });
  afterEach(async () => {
    for (const redis of open.splice(0)) redis.disconnect();
    await t.close();
  });

  const register = (body: Record<string, unknown>, token = t.tokens.ada): Promise<Answer> =>
    t.call('POST /api/v1/llms/_provider-register', {
      token,
      body: { transports: ['redis', 'sse'], instanceId: randomUUID(), ...body },
    });
  const offer = (name: string, poolName = name) => ({ name, type: 'openai', model: 'm', poolName });
  const registered = async (body: Record<string, unknown>, token?: string): Promise<Registered> => {
    const answer = await register(body, token);
    expect(answer.status, answer.text).to.equal(201);
    return answer.json as Registered;
  };
  /** As the session, with any command. @returns what Redis said. */
  const say = async ({ transport }: Registered, ...words: string[]): Promise<string> => {
    const { url, username, password } = transport;
    const redis = new Redis(url, {
      username,
      password,
      enableReadyCheck: false,
      disableClientInfo: true,
      retryStrategy: () => null,
    });
    open.push(redis);
    redis.on('error', () => undefined);
    const [command = '', ...args] = words;
    return await redis.call(command, ...args).then(String, (thrown: unknown) => String(thrown));
  };
  const members = (pool: string): string => t.deps.queue.keys.pool(pool).members;
  const users = async (): Promise<string[]> => {
    const all = (await t.deps.queue.redis.call('ACL', 'USERS')) as string[];
    return all.filter((name) => name.startsWith(`${t.namespace}/`));
  };
  /** What the scheduler does each second. */
  const duty = () => createRedisUsersDuty(dutyDeps(t)).run(new AbortController().signal);

  it('are each a user of Redis that may touch the keys of its own pools alone, with a password kept nowhere', async () => {
    const mine = await registered({ providers: [offer('a', 'p1'), offer('b', 'p2')] });
    const theirs = await registered({ providers: [offer('c', 'p3')] }, t.tokens.bob);
    expect(mine.transport.url).to.equal(
      new URL(t.redisUrl).origin === 'null' ? mine.transport.url : t.redisUrl,
    );
    for (const pool of ['p1', 'p2']) expect(await say(mine, 'HKEYS', members(pool))).to.match(/NOPERM/);
    for (const pool of ['p1', 'p2'])
      expect(await say(mine, 'HGETALL', members(pool))).not.to.match(/ERR|NOPERM/);
    expect(await say(mine, 'HGETALL', members('p3'))).to.match(/NOPERM/);
    expect(await say(theirs, 'HGETALL', members('p1'))).to.match(/NOPERM/);
    const kept = JSON.stringify([
      await t.connection.db('sessions').select(),
      await t.deps.queue.redis.call('ACL', 'LIST'),
    ]);
    expect(kept).to.include(createHash('sha256').update(mine.transport.password).digest('hex'));
    expect(kept).not.to.include(mine.transport.password);
  });

  it('have the same user again when they register again, with the rights of their pools of then', async () => {
    const session = { providerSessionId: randomUUID(), instanceId: 'boot' };
    const first = await registered({ ...session, providers: [offer('a', 'p1')] });
    const again = await registered({ ...session, providers: [offer('a', 'p1'), offer('b', 'p2')] });
    expect(again.transport).to.deep.equal(first.transport);
    expect(await say(first, 'HGETALL', members('p2'))).not.to.match(/NOPERM/);
    expect(await users()).to.deep.equal([first.transport.username]);
  });

  it('may run to its end what they took in a pool that they have left, unless others serve it by then', async () => {
    const session = { providerSessionId: randomUUID(), instanceId: 'boot' };
    const mine = await registered({ ...session, providers: [offer('a', 'p1')] });
    await registered({ ...session, providers: [offer('a', 'p2')] });
    expect(await say(mine, 'HGETALL', members('p1'))).not.to.match(/NOPERM/);
    await t.registry.pools.allow('p1', t.bob.id);
    await registered({ providers: [offer('b', 'p1')] }, t.tokens.bob);
    await duty();
    expect(await say(mine, 'HGETALL', members('p1'))).to.match(/NOPERM/);
    expect(await say(mine, 'HGETALL', members('p2'))).not.to.match(/NOPERM/);
  });

  it('lose their user with their goodbye, and with the sweep of a lapsed session; a heartbeat brings it back', async () => {
    const mine = await registered({ providers: [offer('a')] });
    const { providerSessionId } = mine;
    await t.call('POST /api/v1/llms/_provider-goodbye', { body: { providerSessionId } });
    expect(await users()).to.deep.equal([]);
    expect(await say(mine, 'PING')).to.match(/WRONGPASS/);

    const other = await registered({ providers: [offer('b')] });
    await t.registry.sessions.markGone([other.providerSessionId]);
    await duty();
    expect(await users()).to.deep.equal([]);
    await t.registry.sessions.beat([other.providerSessionId]);
    await duty();
    expect(await say(other, 'PING')).to.equal('PONG');
  });

  it('are made again in a Redis that has forgotten them, by an edge that notices and by the scheduler', async () => {
    const mine = await registered({ providers: [offer('a')] });
    await dropRedisUsers(t);
    expect(await say(mine, 'PING')).to.match(/WRONGPASS/);
    await duty();
    expect(await say(mine, 'PING')).to.equal('PONG');
    await dropRedisUsers(t);
    t.deps.queue.redis.disconnect(true); // as when Redis restarts
    await until(
      () => say(mine, 'PING'),
      (answer) => answer === 'PONG',
    );
  });

  it('go over to an edge when an llm of another owner joins their pool, for Redis cannot tell claims of one pool apart', async () => {
    const session = { providerSessionId: randomUUID(), instanceId: 'boot' };
    const mine = await registered({ ...session, providers: [offer('a', 'shared')] });
    const heard = new Promise<string>((resolve) => {
      const redis = new Redis(t.redisUrl);
      open.push(redis);
      redis.on('smessage', (_: string, text: string) => resolve(text));
      void redis
        .ssubscribe(t.deps.queue.keys.control(session.providerSessionId, 'boot'))
        .then(() => joined());
    });
    const run = createRedisUsersDuty(dutyDeps({ ...t, deps: { ...t.deps, clock: later(t) } }));
    const joined = async (): Promise<void> => {
      await t.registry.pools.allow('shared', t.bob.id);
      const guest = await registered({ providers: [offer('b', 'shared')] }, t.tokens.bob);
      expect(guest.transport).to.deep.equal({ kind: 'sse' });
      await run.run(new AbortController().signal);
    };
    expect(JSON.parse(await heard)).to.deep.equal({ kind: 'again' });
    expect(await users()).to.deep.equal([mine.transport.username]);
    expect((await registered({ ...session, providers: [offer('a', 'shared')] })).transport).to.deep.equal({
      kind: 'sse',
    });
    await run.run(new AbortController().signal);
    expect(await users()).to.deep.equal([]);
    const only = await register({ ...session, transports: ['redis'], providers: [offer('a', 'shared')] });
    expect([only.status, only.text.includes('must know the sse transport')]).to.deep.equal([400, true]);
  });

  it('are cut off in time when they do not go over, also where an admin puts a public llm into their pool', async () => {
    const mine = await registered({ providers: [offer('a', 'house')] });
    const run = createRedisUsersDuty(dutyDeps({ ...t, deps: { ...t.deps, clock: later(t) } }));
    const signal = new AbortController().signal;
    await publicLlm(t, 'house');
    await run.run(signal);
    expect(await users()).to.deep.equal([mine.transport.username]);
    await run.run(signal);
    expect(await users()).to.deep.equal([]);
  });

  it('of an older release are served by an edge: they would go to Redis as their REDIS_URL says', async () => {
    const older = { bullmqVersion: '6.7.0', providers: [offer('a')] };
    expect((await registered(older)).transport).to.deep.equal({ kind: 'sse' });
    expect(
      (await registered({ ...older, redisUser: true, providers: [offer('b')] })).transport.kind,
    ).to.equal('redis');
    const refused = await register({ ...older, transports: ['redis'] });
    expect([refused.status, refused.text]).to.satisfy(
      ([status, text]: [number, string]) => status === 400 && text.includes('update mcplocal'),
    );
  });

  it('are none unless the operator turns it on, nor where Redis makes no users for us', async () => {
    const off = await edgeFixture({ MCPCTL_REDIS_WORKERS: '' });
    try {
      expect(off.deps.redisWorkers.mayBeOffered()).to.equal(false);
    } finally {
      await off.close();
    }
    const password = randomUUID();
    const name = `${t.namespace}/unable`;
    await t.deps.queue.redis.call('ACL', 'SETUSER', name, 'on', `>${password}`, '~*', '&*', '+@all', '-acl');
    const url = Object.assign(new URL(t.redisUrl), { username: encodeURIComponent(name), password });
    const unable = await edgeFixture({}, { redisUrl: url.href });
    try {
      expect(unable.deps.redisWorkers.mayBeOffered()).to.equal(false);
      const answer = await unable.call('POST /api/v1/llms/_provider-register', {
        body: { transports: ['redis', 'sse'], providers: [offer('a')] },
      });
      expect((answer.json as Registered).transport).to.deep.equal({ kind: 'sse' });
    } finally {
      await unable.close();
    }
  });
});

/** A clock on which three seconds pass between two looks. */
function later(t: EdgeFixture): EdgeFixture['deps']['clock'] {
  let now = 0;
  return { ...t.deps.clock, elapsed: () => (now += 3_000) };
}
