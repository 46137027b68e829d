import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { createReapDuty } from '../../scheduler/duties/reap.ts';
import { createSettleDuty } from '../../scheduler/duties/settle.ts';
import { cookieFor, ownPage } from '../support/admin.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { dutyDeps, submitTask } from '../support/tasks.ts';

interface Shown {
  status: string;
  claimedAt: string | null;
  claimedLlm: string | null;
  attemptLog: { llm: string; session: string }[];
}

describe("what a session may put in the place of its own pool's keys", () => {
  let t: EdgeFixture;
  /** Bob's, who has Redis of his own and means ill. */
  let session: string;
  before(async () => {
    t = await edgeFixture();
    session = await register(t.tokens.bob, 'bad', 'mine');
    await register(t.tokens.ada, 'good', 'good');
  });
  after(() => t.close());

  const register = async (token: string, name: string, poolName: string): Promise<string> => {
    const providers = [{ name, type: 'openai', model: 'm', poolName }];
    const body = { transports: ['sse'], instanceId: randomUUID(), providers };
    const answer = await t.call('POST /api/v1/llms/_provider-register', { token, body });
    expect(answer.status, answer.text).to.equal(201);
    return (answer.json as { providerSessionId: string }).providerSessionId;
  };
  const signal = new AbortController().signal;
  /** Claimed by somebody who is dead; `firstAt` and the like as a session may write them. */
  const claimed = async (poolKey: string, fence: Record<string, string> = {}): Promise<string> => {
    const { id } = await submitTask(t, { poolKey });
    const { redis, keys } = t.deps.queue;
    const pool = keys.pool(poolKey);
    const [by, llm] = [randomUUID(), randomUUID()];
    const usual = {
      epoch: '1',
      claim: 'c',
      shown: 'c',
      state: 'open',
      session: by,
      boot: 'b',
      llm,
      claimedAt: '1',
    };
    await redis.hset(pool.task(id).fence, { ...usual, job: `${id}-1`, q: '', ...fence });
    await redis.zadd(pool.run, 1, id);
    return id;
  };
  const shown = async (id: string): Promise<Shown> => {
    const { status, json, text } = await t.call(`GET /api/v1/tasks/${id}`);
    expect(status, text).to.equal(200);
    return json as Shown;
  };

  it("is nobody else's loss: others are listed, called, ended, put out and seen on the board", async () => {
    const { redis, keys } = t.deps.queue;
    const mine = keys.pool('mine');
    const evil = await claimed('mine', { session, shown: '' });
    const queue = `${keys.namespace}:${mine.queue()}:`;
    const { fence, stream } = mine.task(evil);
    const texts = [mine.members, mine.ended, mine.back, mine.orphans, stream];
    for (const key of [...texts, ...['wait', 'active', 'completed', 'meta'].map((of) => queue + of)]) {
      await redis.del(key);
      await redis.set(key, 'x');
    }
    await redis.del(keys.lease(session));
    await redis.hset(keys.lease(session), { a: '1' });
    const victim = await claimed('good');
    for (const path of ['/api/v1/llms', '/api/v1/pools', '/api/v1/pools/mine', '/api/v1/tasks', '/v1/models'])
      expect((await t.call(`GET ${path}`)).status, path).to.equal(200);
    const call = { model: 'good', messages: [{ role: 'user', content: 'hi' }] };
    const headers = { prefer: 'respond-async' };
    expect((await t.call('POST /v1/chat/completions', { body: call, headers })).status).to.equal(202);
    expect((await t.call('GET /metrics', { token: t.tokens.root })).text).to.match(/mcpctl_stores_up 1/);
    const cookie = await cookieFor(t.url, t.tokens.root);
    const board = await t.call('GET /admin/queues/api/queues', {
      token: null,
      headers: { cookie, ...ownPage },
    });
    expect(board.text).to.include('"name":"good"').and.not.include('"name":"mine"');
    await createReapDuty(dutyDeps(t)).run(signal);
    await createSettleDuty(dutyDeps(t)).run(signal);
    expect((await shown(victim)).status).to.equal('error');
    await redis.del(fence);
    await redis.set(fence, 'x');
    expect((await t.call('GET /api/v1/tasks')).status).to.equal(200);
    const forced = await t.call('DELETE /api/v1/llms/bad?force', { token: t.tokens.root });
    expect(forced.status, forced.text).to.equal(204);
    // Whoever comes after finds the place fit to live in.
    await register(t.tokens.bob, 'next', 'mine');
    expect((await t.call('GET /api/v1/pools/mine')).json).to.include({ activeCount: 1 });
  });

  it('is shown as nothing where it cannot be: instants, members, sessions', async () => {
    const { redis, keys } = t.deps.queue;
    const wild = ['9e15', '-1', '1e400', 'x', ''];
    for (const at of wild) {
      const id = await claimed('wild', {
        claimedAt: at,
        firstAt: at,
        llm: '\u001b]0;x\u0007',
        session: '__proto__',
      });
      const { attemptLog, claimedLlm } = await shown(id);
      expect(attemptLog, at).to.deep.include({ ...attemptLog[0], llm: '', session: '' });
      expect(claimedLlm).to.equal('');
      await redis.del(keys.pool('wild').task(id).fence);
    }
    expect((await t.call('GET /api/v1/tasks')).status).to.equal(200);
  });

  it('is no number of slots that nobody has', async () => {
    const { redis, keys } = t.deps.queue;
    const { members } = (await t.call('GET /api/v1/pools/good')).json as { members: { name: string }[] };
    expect(members).to.have.length(1);
    const [field = ''] = await redis.hkeys(keys.pool('good').members);
    const announcement = { sessionId: field.split(' ')[1], boot: 'b', state: 'serving' };
    for (const [slots, running] of [
      [1e308, -1e308],
      [-5, 0.5],
    ] as const) {
      const text = `${String(Date.now())} ${JSON.stringify({ ...announcement, slots, running })}`;
      await redis.hset(keys.pool('good').members, field, text);
      const { json } = await t.call('GET /api/v1/pools/good');
      const [member] = (json as { members: { slots: number; running: number }[] }).members;
      expect(member?.slots).to.be.within(0, 10_000);
      expect(member?.running).to.equal(0);
    }
  });
});
