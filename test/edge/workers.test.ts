import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { LlmView } from '../../core/llm.ts';
import type { SessionView } from '../../core/member/session.ts';
import type { PoolView } from '../../core/pool.ts';
import { claimTask } from '../../core/queue/task/claim.ts';
import type { ExplainView } from '../../core/task/explain.ts';
import { createHoldDuty } from '../../scheduler/duties/hold.ts';
import type { Duty } from '../../scheduler/duties/duty.ts';
import { SseWorker, type Stream } from '../relay/sse-worker.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';
import { dutyDeps, submitTask } from '../support/tasks.ts';

describe('workers as people see and govern them', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  let duty: Duty;
  const workers: SseWorker[] = [];
  before(async () => {
    t = await edgeFixture();
    duty = createHoldDuty(dutyDeps(t));
  });
  after(() => t.close());
  afterEach(async () => {
    for (const worker of workers.splice(0)) {
      worker.kill();
      await worker.goodbye();
    }
  });

  const started = async (name: string, more: object = {}, token = t.tokens.ada) => {
    const worker = new SseWorker({ url: t.url, token });
    workers.push(worker);
    const answer = await worker.register([{ name, maxConcurrency: 2 }], { host: `host-of-${name}`, ...more });
    expect(answer.status).to.equal(201);
    return { worker, stream: await worker.open(), id: worker.session ?? '' };
  };
  const say = (call: string, id: string, token = t.tokens.root) =>
    t.call(`POST /api/v1/sessions/${id}/${call}`, { token });
  const seen = async (id: string, token = t.tokens.root) =>
    (await t.call(`GET /api/v1/sessions/${id}`, { token })).json as SessionView;
  const llm = async (name: string) => (await t.call(`GET /api/v1/llms/${name}`)).json as LlmView;
  const store = () => ({ redis: t.deps.queue.redis, keys: t.deps.queue.keys });
  const mark = (pool: string, llmId: string, session: string) =>
    t.deps.queue.redis.hget(t.deps.queue.keys.pool(pool).denied, `${llmId} ${session}`);
  /** Takes one more frame at once, which shows that the relay has nothing in hand. */
  const gets = async (stream: Stream, pool: string): Promise<string> => {
    const { id } = await submitTask(t, { poolKey: pool });
    const frame = await stream.next('infer');
    expect(frame.taskId).to.equal(id);
    return id;
  };

  it('lists what is one’s own, for admins all, with what it publishes, page by page', async () => {
    const own = await started('seen');
    const others = await started('seen-too', {}, t.tokens.bob);
    const listed = async (token: string, query = '') => {
      const { json } = await t.call(`GET /api/v1/sessions${query}`, { token });
      return json as { items: SessionView[]; next: string | null };
    };
    expect((await listed(t.tokens.ada)).items.map(({ id }) => id)).to.deep.equal([own.id]);
    const all = (await listed(t.tokens.root)).items.map(({ id }) => id);
    expect(all).to.have.members([own.id, others.id]);
    const first = await listed(t.tokens.root, '?limit=1');
    const second = await listed(t.tokens.root, `?limit=1&after=${first.next ?? ''}`);
    expect([...first.items, ...second.items].map(({ id }) => id)).to.deep.equal(all);
    expect(second.next).to.equal(null);
    const view = await seen('host-of-seen', t.tokens.ada);
    expect(view).to.deep.include({
      id: own.id,
      name: 'host-of-seen',
      user: 'ada',
      token: 'test',
      hold: null,
    });
    expect(view).to.deep.include({ transport: 'sse', version: '0.0.0-test', state: 'live', slots: 2 });
    expect(view.llms).to.deep.equal([
      { name: 'seen', pool: 'seen', status: 'active', state: 'serving', running: 0 },
    ]);
    expect(await seen(own.id.slice(0, 8))).to.include({ id: own.id });
    const missing = await t.call(`GET /api/v1/sessions/${others.id}`);
    const none = await t.call(`GET /api/v1/sessions/${randomUUID()}`);
    expect([missing.status, missing.json]).to.deep.equal([
      404,
      { ...(none.json as object), requestId: (missing.json as { requestId: string }).requestId },
    ]);
    expect((await say('pause', others.id, t.tokens.ada)).status).to.equal(404);
    // Of a member of others one sees no worker by that.
    const ofMember = async (token: string) => {
      const { json } = await t.call('GET /api/v1/pools/seen', { token });
      return (json as PoolView).members.map(({ session }) => session);
    };
    const { ada, bob, root } = t.tokens;
    expect(await Promise.all([ada, bob, root].map(ofMember))).to.deep.equal([[own.id], [null], [own.id]]);
  });

  it('tells who may see workers, and not what they publish, of no llm by its name', async () => {
    const { id } = await started('kept-from-bob');
    const as = async (call: string, body: object) => {
      const answer = await t.call(`POST /api/v1/${call}`, { token: t.tokens.root, body });
      expect(answer.status, answer.text).to.equal(201);
      return answer.json as { token: string };
    };
    const bindings = [{ role: 'view', resource: 'session' }];
    await as('rbac', { name: 'sees-workers', subjects: [{ kind: 'user', name: 'bob' }], bindings });
    // What everybody may, llms among it, this does not let through.
    const { token } = await as('tokens', { name: 'watch', user: 'bob', preset: 'manage', bindings });
    const { status, json, text } = await t.call('GET /api/v1/sessions', { token });
    expect(status, text).to.equal(200);
    const one = (json as { items: SessionView[] }).items.find((each) => each.id === id);
    expect(one).to.deep.include({ id, user: 'ada', slots: 2, llms: [] });
    expect((await t.call(`GET /api/v1/sessions/${id}`, { token })).json).to.deep.include({ id, llms: [] });
    expect(text.match(/"name":"kept-from-bob"|"pool":/)).to.equal(null);
    expect(one?.token, 'what tokens are called is not let through either').to.equal(null);
  });

  it('gives one that is paused nothing new, lets what runs go on, and says so, until it is resumed', async () => {
    const { worker, stream, id } = await started('paused');
    const running = await gets(stream, 'paused');
    const paused = await say('pause', id);
    expect(paused.json).to.include({ state: 'paused', hold: 'paused', heldBy: 'root' });
    const waiting = await submitTask(t, { poolKey: 'paused' });
    const called = await t.call('POST /api/v1/llms/paused/infer', {
      body: { messages: [{ role: 'user', content: 'hi' }] },
    });
    expect([called.status, (called.json as { code: string }).code]).to.deep.equal([503, 'no_active_llm']);
    expect(await llm('paused')).to.include({ status: 'active', hold: 'paused', servedBy: 0 });
    const explained = (await t.call('GET /api/v1/llms/paused/explain')).json as ExplainView;
    expect(explained.candidates[0]).to.include({ name: 'paused', verdict: 'away' });
    expect(explained.candidates[0]?.reason).to.contain('paused here');
    const frame = stream.frames.find((one) => one.kind === 'infer' && one.taskId === running);
    if (frame?.kind !== 'infer') return expect.fail('no frame');
    expect((await worker.serve(frame, [], { body: '{}' })).status).to.equal(200);
    // It says of itself that it would take more, and comes back with another stream.
    expect((await worker.heartbeat({ state: 'serving' })).status).to.equal(200);
    const again = await worker.register([{ name: 'paused', maxConcurrency: 2 }]);
    expect(again.json).to.include({ hold: 'paused' });
    const second = await worker.open();
    await until(
      () => seen(id),
      ({ llms }) => llms[0]?.state === 'draining',
    );
    expect(second.frames.filter(({ kind }) => kind === 'infer')).to.deep.equal([]);
    expect((await say('resume', id)).json).to.include({ hold: null, heldBy: null });
    // Until its edge has announced so, it takes nothing yet.
    await until(
      () => seen(id),
      ({ state }) => state === 'live',
    );
    expect((await second.next('infer')).taskId).to.equal(waiting.id);
    expect(await llm('paused')).to.include({ hold: null, servedBy: 1 });
    const { json } = await t.call('GET /api/v1/audit?resource=session&verb=edit', { token: t.tokens.root });
    const changes = (json as { items: { name: string; changes: unknown }[] }).items
      .filter(({ name }) => name === id)
      .map((item) => item.changes);
    expect(changes).to.deep.equal([
      [{ field: 'hold', from: 'paused', to: null }],
      [{ field: 'hold', from: null, to: 'paused' }],
    ]);
  });

  it('drains: nothing new, and drained once nothing of it runs', async () => {
    const { worker, stream, id } = await started('drained');
    await gets(stream, 'drained');
    await until(
      () => seen(id),
      ({ running }) => running === 1,
    );
    expect((await say('drain', id, t.tokens.ada)).json).to.include({ state: 'draining', running: 1 });
    const [frame] = stream.frames;
    if (frame?.kind !== 'infer') return expect.fail('no frame');
    await worker.serve(frame, [], { body: '{}' });
    await until(
      () => seen(id),
      ({ state }) => state === 'drained',
    );
  });

  it('lets one that takes tasks itself, and has not heard of it, claim nothing, whatever Redis has forgotten', async () => {
    const { id, stream } = await started('deaf');
    const row = (await t.registry.llms.byName('deaf')) ?? expect.fail('no row');
    await say('pause', id);
    const task = await submitTask(t, { poolKey: 'deaf' });
    const ref = { taskId: task.id, poolKey: 'deaf', jobId: `${task.id}-1` };
    const claim = (session = id) =>
      claimTask(store(), ref, { claimId: randomUUID(), session, boot: 'b', llmId: row.id });
    expect(await claim()).to.equal('held');
    await t.deps.queue.redis.del(t.deps.queue.keys.pool('deaf').denied);
    expect(await duty.run(new AbortController().signal)).to.equal(1);
    expect(await claim()).to.equal('held');
    expect(await duty.run(new AbortController().signal)).to.equal(0);
    // As if the edge that let it go had died before Redis heard of it.
    await t.connection.db('llms').where({ id: row.id }).update({ hold: null });
    expect(await duty.run(new AbortController().signal)).to.equal(1);
    expect(await mark('deaf', row.id, id)).to.equal(null);
    // Its relay was told, too.
    expect((await stream.next('infer')).taskId).to.equal(task.id);
  });

  it('is told again where the word was lost', async () => {
    const { id } = await started('lost');
    const row = (await t.registry.llms.byName('lost')) ?? expect.fail('no row');
    const actor = await t.deps.authenticator.actorOf(t.tokens.root);
    if (!actor) return expect.fail('no admin');
    await t.registry.workers.hold(id, 'paused', actor);
    await t.deps.queue.presence.setHeld(id, [{ llmId: row.id, poolKey: 'lost' }], true);
    expect((await seen(id)).llms[0]).to.include({ state: 'serving' });
    expect(await duty.run(new AbortController().signal)).to.equal(0);
    await until(
      () => seen(id),
      ({ llms }) => llms[0]?.state === 'draining',
    );
  });

  it('leaves who was put out of a pool out, while another of the pool is held', async () => {
    const { id } = await started('out');
    const row = (await t.registry.llms.byName('out')) ?? expect.fail('no row');
    await say('pause', id);
    await t.deps.queue.presence.deny('gone', [{ llmId: 'l', poolKey: 'out' }]);
    await duty.run(new AbortController().signal);
    expect([await mark('out', row.id, id), await mark('out', 'l', 'gone')]).to.deep.equal(['held', '1']);
  });

  it('leaves an llm of a worker out that was put out, when the worker is held and let go again', async () => {
    const { worker, id } = await started('part');
    await worker.register([{ name: 'part' }, { name: 'part-out' }]);
    const row = (await t.registry.llms.byName('part-out')) ?? expect.fail('no row');
    await t.registry.denials.denyRows({ llmId: row.id });
    await t.deps.queue.presence.deny(id, [{ llmId: row.id, poolKey: 'part-out' }]);
    for (const call of ['pause', 'resume']) {
      expect((await say(call, id)).status).to.equal(200);
      expect(await mark('part-out', row.id, id), call).to.equal('1');
    }
  });

  it('is held at once in a pool that it left, too, and let go there', async () => {
    const { worker, stream, id } = await started('leaver');
    const row = (await t.registry.llms.byName('leaver')) ?? expect.fail('no row');
    await gets(stream, 'leaver');
    expect((await worker.register([{ name: 'leaver', poolName: 'left-for' }])).status).to.equal(201);
    for (const [call, marked] of [
      ['pause', 'held'],
      ['resume', null],
    ] as const) {
      expect((await say(call, id)).status).to.equal(200);
      for (const pool of ['left-for', 'leaver'])
        expect(await mark(pool, row.id, id), `${call} ${pool}`).to.equal(marked);
    }
  });

  it('puts one that is revoked out at once, and lets it back in as another alone', async () => {
    const { worker, stream, id } = await started('revoked');
    await gets(stream, 'revoked');
    expect((await t.call(`DELETE /api/v1/sessions/${id}`)).status).to.equal(204);
    await stream.closed;
    expect(await t.registry.llms.byName('revoked')).to.include({ inactiveReason: 'denied' });
    expect((await t.call(`GET /api/v1/sessions/${id}`)).status).to.equal(404);
    expect((await worker.heartbeat()).status).to.equal(404);
    const again = await worker.register([{ name: 'revoked' }]);
    expect([again.status, again.json['code']]).to.deep.equal([403, 'session_revoked']);
    await t.registry.sessions.deleteIdle(0, 100);
    expect((await worker.register([{ name: 'revoked' }])).status).to.equal(403);
    worker.session = undefined;
    expect((await worker.register([{ name: 'revoked' }])).status).to.equal(201);
    expect((await t.call(`DELETE /api/v1/sessions/${worker.session ?? ''}`)).status).to.equal(204);
  });
});
