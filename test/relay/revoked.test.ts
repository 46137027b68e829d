import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { isServed } from '../../core/flow/alive/served.ts';
import { claimTask } from '../../core/queue/task/claim.ts';
import { readFences } from '../../core/queue/task/fence.ts';
import type { Duty } from '../../scheduler/duties/duty.ts';
import { createDenyDuty } from '../../scheduler/duties/deny.ts';
import { createHandBackDuty } from '../../scheduler/duties/hand-back.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { runDuty } from '../support/hindered.ts';
import { LONG_BYTES, readSlowly } from '../support/slow-reader.ts';
import { nextText, sseData } from '../support/sse.ts';
import { until } from '../support/system.ts';
import { dutyDeps, submitTask } from '../support/tasks.ts';
import { secondEdge, type SecondEdge } from './second-edge.ts';
import { SseWorker, type Stream } from './sse-worker.ts';

const chunk = (content: string): string => JSON.stringify({ choices: [{ index: 0, delta: { content } }] });
const messages = [{ role: 'user', content: 'hi' }];

/** Everything is at one edge, and what takes the right away comes through the other, or through none. */
describe('a right that is taken away while it is used', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  let other: SecondEdge;
  let duty: Duty;
  let handBack: Duty;
  const workers: SseWorker[] = [];
  const run = (): Promise<number> => duty.run(new AbortController().signal);

  before(async () => {
    t = await edgeFixture();
    other = await secondEdge(t);
    duty = createDenyDuty(dutyDeps(t));
    handBack = createHandBackDuty(dutyDeps(t));
  });
  after(async () => {
    await other.close();
    await t.close();
  });
  afterEach(async () => {
    for (const worker of workers.splice(0)) {
      worker.kill();
      await worker.goodbye();
    }
  });

  const tokenOf = async (userId: string, pools: string[] | null = null) => {
    const made = {
      userId,
      name: `t-${randomUUID().slice(0, 8)}`,
      pools,
      expiresInDays: null,
      createdBy: null,
    };
    const { row, text } = await t.registry.tokens.create(made);
    return { id: row.id, text };
  };
  const started = async (token: string, ...offers: Record<string, unknown>[]) => {
    const worker = new SseWorker({ url: t.url, token });
    workers.push(worker);
    expect((await worker.register(offers)).status).to.equal(201);
    return { worker, stream: await worker.open() };
  };
  const atOther = (what: string, token = t.tokens.root, body?: object): Promise<Response> => {
    const [method = '', path = ''] = what.split(' ');
    return fetch(`${other.url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  };
  const infer = (llm: string, token: string, body: object = {}): Promise<Response> =>
    atOther(`POST /llms/${llm}/infer`, token, { messages, ...body });
  const rowOf = async (name: string) => t.registry.llms.byName(name);
  const isDenied = (name: string) =>
    until(
      () => rowOf(name),
      (row) => row?.status === 'inactive' && row.inactiveReason === 'denied',
    );
  const isEnded = async (stream: Stream): Promise<void> => {
    await stream.closed;
    expect(stream.events.at(-1)).to.include({ name: 'ended' });
  };
  const rest = async (answer: Response): Promise<string[]> => {
    const events: string[] = [];
    for await (const data of sseData(answer)) events.push(data);
    return events;
  };

  it('puts a worker out whose token is revoked: what was shown ends, what was not starts over', async () => {
    const token = await tokenOf(t.ada.id);
    const { worker, stream } = await started(token.text, { name: 'r1', poolName: 'rp', maxConcurrency: 2 });
    const answering = infer('rp', t.tokens.ada, { stream: true });
    const shown = await stream.next('infer');
    const uplink = worker.uplink(shown).beating();
    uplink.line({ seq: 1, data: chunk('one') });
    const answer = await answering;
    const events = sseData(answer);
    expect(await nextText(events)).to.equal('one');
    const unseen = await submitTask(t, { poolKey: 'rp' });
    const frame = await stream.next('infer');
    worker.uplink(frame).beating();
    const next = await started(t.tokens.ada, { name: 'r2', poolName: 'rp', maxConcurrency: 4 });

    expect((await atOther(`DELETE /tokens/${token.id}`)).status).to.equal(204);
    await isEnded(stream);
    await isDenied('r1');
    const last: string[] = [];
    for await (const data of events) last.push(data);
    expect(JSON.parse(last.at(-1) ?? '')).to.have.nested.property('error.code', 'worker_lost');
    expect(last).to.not.include('[DONE]');
    expect([401, 409]).to.include((await uplink.answer).status);
    // What the relay has handed back, nobody waits for: the scheduler gives it to another.
    await until(
      async () => {
        await handBack.run(new AbortController().signal);
        return next.stream.frames.length;
      },
      (frames) => frames > 0,
    );
    const again = await next.stream.next('infer');
    expect(again.taskId).to.equal(unseen.id);
    expect(await t.registry.tasks.byId(unseen.id)).to.include({ crashes: 0, attempts: 0 });
    await next.worker.serve(again, [], { body: '{}' });
    await until(
      async () => (await worker.heartbeat()).status,
      (status) => status === 401,
    );
    expect((await t.registry.sessions.byId(worker.session ?? ''))?.leftAt).to.not.equal(null);
  });

  it('does so for one that has expired, that is bound to other pools, and when an edge died midway', async () => {
    const [expiring, narrowed, dying] = await Promise.all([1, 2, 3].map(() => tokenOf(t.ada.id)));
    if (!expiring || !narrowed || !dying) return expect.fail('no tokens');
    const first = await started(expiring.text, { name: 'e1' });
    const second = await started(narrowed.text, { name: 'e2' }, { name: 'e3' });
    const third = await started(dying.text, { name: 'e4' });
    await run();
    await t.connection.db.raw('update tokens set expires_at = now() where id = ?', [expiring.id]);
    await t.connection.db.raw('update tokens set pools = ? where id = ?', [['e3'], narrowed.id]);
    await t.connection.db.raw('update tokens set revoked_at = now() where id = ?', [dying.id]);
    // The rows say it, and then that edge was gone.
    await t.registry.denials.denyUnentitled();
    expect(await run()).to.equal(3);
    expect(await run()).to.equal(0);
    await Promise.all([isEnded(first.stream), isEnded(third.stream), isDenied('e1'), isDenied('e2')]);
    await isDenied('e4');
    expect(await rowOf('e3')).to.include({ status: 'active' });
    const row = await submitTask(t, { poolKey: 'e2' });
    const kept = await submitTask(t, { poolKey: 'e3' });
    const frame = await second.stream.next('infer');
    expect(frame.taskId).to.equal(kept.id);
    await second.worker.serve(frame, [], { body: '{}' });
    expect(await t.registry.tasks.byId(row.id)).to.include({ status: 'pending' });
  });

  it('puts a guest out whom the pool denies, and lets no claim of theirs pass meanwhile', async () => {
    const { redis, keys } = t.deps.queue;
    await started(t.tokens.ada, { name: 'house' });
    expect((await atOther('POST /pools/house/allow', t.tokens.ada, { user: 'bob' })).status).to.equal(200);
    const { worker, stream } = await started(
      t.tokens.bob,
      { name: 'guest', poolName: 'house' },
      { name: 'bobs' },
    );
    expect((await atOther('POST /pools/house/deny', t.tokens.bob, { user: 'bob' })).status).to.equal(403);
    expect((await atOther('POST /pools/house/deny', t.tokens.ada, { user: 'bob' })).status).to.equal(200);
    expect(await rowOf('guest')).to.include({ status: 'inactive', inactiveReason: 'denied' });
    expect(await rowOf('bobs')).to.include({ status: 'active' });
    const row = await submitTask(t, { poolKey: 'house', pin: (await rowOf('guest'))?.id ?? null });
    const ref = { taskId: row.id, poolKey: 'house' };
    const [fence] = await readFences(redis, keys, [ref]);
    const { session = '', instance = '' } = worker;
    const by = { claimId: randomUUID(), session, boot: instance, llmId: (await rowOf('guest'))?.id ?? '' };
    expect(await claimTask({ redis, keys }, { ...ref, jobId: fence?.job ?? '' }, by)).to.equal('unfit');
    const own = await submitTask(t, { poolKey: 'bobs' });
    const frame = await stream.next('infer');
    expect(frame.taskId).to.equal(own.id);
    await worker.serve(frame, [], { body: '{}' });
    const refused = await worker.register([{ name: 'guest', poolName: 'house' }, { name: 'bobs' }]);
    expect([refused.status, refused.json['code']]).to.deep.equal([409, 'pool_not_yours']);
  });

  it('gives a guest whom the pool denies no more of what they were asked there, however slowly they take it', async () => {
    await started(t.tokens.ada, { name: 'manor' });
    await atOther('POST /pools/manor/allow', t.tokens.ada, { user: 'bob' });
    const { worker, stream } = await started(
      t.tokens.bob,
      { name: 'lodger', poolName: 'manor' },
      { name: 'other' },
    );
    const { id } = await submitTask(t, { poolKey: 'manor', pin: (await rowOf('lodger'))?.id ?? null });
    const { claimId } = await stream.next('infer');
    await t.connection
      .db('tasks')
      .where({ id })
      .update({ requestBody: JSON.stringify('x'.repeat(LONG_BYTES)) });
    const { whole } = await readSlowly(`${t.url}/api/v1/llms/_provider-task/${id}/body`, [
      `authorization: Bearer ${t.tokens.bob}`,
      `x-mcpctl-provider-session: ${worker.session ?? ''}`,
      `x-mcpctl-instance: ${worker.instance ?? ''}`,
      `x-mcpctl-claim: ${claimId ?? ''}`,
    ]);
    const from = performance.now();
    expect((await atOther('POST /pools/manor/deny', t.tokens.ada, { user: 'bob' })).status).to.equal(200);
    expect(await whole).to.be.within(1, LONG_BYTES - 1);
    expect(performance.now() - from).to.be.below(5_000);
    expect(await rowOf('other'), 'their own').to.include({ status: 'active' });
  });

  it('lets a worker take what waits in a pool that it left, and ends that: by itself, and where it may not any more', async () => {
    const owner = await started(t.tokens.ada, { name: 'fp' });
    await owner.worker.goodbye();
    await atOther('POST /pools/fp/allow', t.tokens.ada, { user: 'bob' });
    const { worker, stream } = await started(t.tokens.bob, { name: 'f2', poolName: 'fp', maxConcurrency: 1 });
    const whole = {
      body: JSON.stringify({ choices: [{ message: { content: 'x' }, finish_reason: 'stop' }] }),
    };
    const callers = [infer('fp', t.tokens.ada)];
    const runs = await stream.next('infer');
    const up = worker.uplink(runs).beating();
    callers.push(infer('fp', t.tokens.ada));
    await until(
      () => t.registry.tasks.openInPool('fp', 10),
      (open) => open === 2,
    );
    const moved = [{ name: 'f2', poolName: 'fq', maxConcurrency: 1 }];
    expect((await worker.register(moved)).status).to.equal(201);
    // Whoever decides about what waits sees that it is served; who asks anew is told that nobody is there.
    const isThere = async (): Promise<boolean> => isServed(await t.deps.liveness.loadPool('fp'), null);
    expect(await isThere()).to.equal(true);
    const anew = await infer('fp', t.tokens.ada);
    expect([anew.status, ((await anew.json()) as { code: string }).code]).to.deep.equal([
      503,
      'no_active_llm',
    ]);
    up.line({ end: whole });
    await up.end();
    await worker.serve(await stream.next('infer'), [], whole);
    for (const caller of callers) expect((await caller).status).to.equal(200);

    // What was asked before it left has ended: a while later it is told, and takes nothing of it any more.
    const age = () =>
      t.connection.db.raw(
        `update former_members set left_at = left_at - interval '1 minute', denied_at = null`,
      );
    await age();
    expect(await runDuty(dutyDeps(t), 'former')).to.equal(1);
    const later = await submitTask(t, { poolKey: 'fp' });
    const own = await submitTask(t, { poolKey: 'fq' });
    const next = await stream.next('infer');
    expect(next.taskId).to.equal(own.id);
    await worker.serve(next, [], whole);
    expect(await t.registry.tasks.byId(later.id)).to.include({ status: 'pending' });
    expect(await isThere()).to.equal(false);

    // Back, away again, and while it drains the pool's owner lets it in no more.
    await worker.register([{ name: 'f2', poolName: 'fp', maxConcurrency: 1 }]);
    expect((await stream.next('infer')).taskId).to.equal(later.id);
    const waits = await submitTask(t, { poolKey: 'fp' });
    await worker.register(moved);
    expect((await atOther('POST /pools/fp/deny', t.tokens.ada, { user: 'bob' })).status).to.equal(200);
    expect((await stream.next('cancel')).taskId).to.equal(later.id);
    expect(await isThere()).to.equal(false);
    const lasts = [await submitTask(t, { poolKey: 'fq' }), await submitTask(t, { poolKey: 'fq' })];
    const gone = await stream.next('infer');
    expect(gone.taskId).to.equal(lasts[0]?.id);
    expect(await t.registry.tasks.byId(waits.id)).to.include({ status: 'pending', crashes: 0 });
    expect(await rowOf('f2')).to.include({ status: 'active', poolKey: 'fq' });

    // Of a pool that nobody is left in what waits does not end for that.
    await worker.register([{ name: 'f2', poolName: 'fr', maxConcurrency: 1 }]);
    await runDuty(dutyDeps(t), 'expire');
    expect((await t.registry.tasks.byId(lasts[1]?.id ?? ''))?.status).to.equal('pending');
    await worker.serve(gone, [], whole);
    expect((await stream.next('infer')).taskId).to.equal(lasts[1]?.id);
  });

  it('deletes what runs when forced: the owner of the pool does, a stranger does not', async () => {
    await started(t.tokens.ada, { name: 'lair' });
    await atOther('POST /pools/lair/allow', t.tokens.ada, { user: 'bob' });
    const { worker, stream } = await started(t.tokens.bob, { name: 'intruder', poolName: 'lair' });
    const row = await submitTask(t, { poolKey: 'lair', pin: (await rowOf('intruder'))?.id ?? null });
    await stream.next('infer');
    expect((await atOther('DELETE /llms/intruder', t.tokens.bob)).status).to.equal(409);
    expect((await atOther('DELETE /llms/lair?force', t.tokens.bob)).status).to.equal(403);
    expect((await atOther('DELETE /llms/intruder?force', t.tokens.ada)).status).to.equal(204);
    await isEnded(stream);
    expect(await rowOf('intruder')).to.equal(undefined);
    expect(await t.registry.tasks.byId(row.id)).to.include({ status: 'pending', crashes: 0 });
    expect((await worker.register([{ name: 'intruder', poolName: 'lair' }])).status).to.equal(409);
    const { stream: own } = await started(t.tokens.ada, { name: 'mine' });
    expect((await atOther('DELETE /llms/mine?force')).status).to.equal(204);
    await isEnded(own);
  });

  it('ends what a caller has open: answers, task streams, waits; their tasks as their policy says', async () => {
    const caller = await tokenOf(t.ada.id);
    const { worker, stream } = await started(t.tokens.ada, { name: 'c1', maxConcurrency: 4 });
    const answering = infer('c1', caller.text, { stream: true });
    const frame = await stream.next('infer');
    worker
      .uplink(frame)
      .beating()
      .line({ seq: 1, data: chunk('one') });
    const answer = await answering;
    const requestBody = JSON.stringify({ messages, stream: true });
    const kept = await submitTask(t, { poolKey: 'c1', streaming: true, requestBody });
    worker.uplink(await stream.next('infer')).beating();
    const looking = await atOther(`GET /tasks/${kept.id}/stream`, caller.text);
    const waiting = atOther(`GET /tasks/${kept.id}?wait=30`, caller.text);
    const whole = infer('c1', caller.text);
    worker.uplink(await stream.next('infer')).beating();
    // Through the other edge's store only: nobody tells this one.
    await t.connection.db.raw('update tokens set revoked_at = now() where id = ?', [caller.id]);
    for (const open of [answer, looking]) {
      const events = await rest(open);
      expect(JSON.parse(events.at(-1) ?? '')).to.have.nested.property('error.code', 'unauthenticated');
    }
    for (const one of [await waiting, await whole]) expect(one.status).to.equal(401);
    await until(
      async () => (await t.registry.tasks.byId(frame.taskId))?.status,
      (status) => status === 'cancelled',
    );
    expect(await t.registry.tasks.byId(kept.id)).to.include({ status: 'pending' });
  });

  it('takes the Redis user of a session away, whose worker takes its tasks from Redis itself', async () => {
    const { redis } = t.deps.queue;
    const token = await tokenOf(t.ada.id);
    const body = {
      transports: ['redis'],
      redisUser: true,
      bullmqVersion: t.deps.bullmqVersion,
      providers: [{ name: 'direct', type: 'openai', model: 'm' }],
    };
    const answer = await t.call('POST /api/v1/llms/_provider-register', { token: token.text, body });
    const { providerSessionId: id } = answer.json as { providerSessionId: string };
    const users = async (): Promise<string> => JSON.stringify(await redis.call('ACL', 'USERS'));
    expect(await users()).to.include(id);
    const heard: string[] = [];
    const off = await t.deps.queue.subscriber.listen(t.deps.queue.keys.control(id, id), (message) => {
      if (message.kind === 'message') heard.push(message.text);
    });
    expect((await atOther(`DELETE /tokens/${token.id}`)).status).to.equal(204);
    expect(await users()).to.not.include(id);
    await until(
      async () => heard.join(' '),
      (text) => text.includes('"again"'),
    );
    off();
    expect(await rowOf('direct')).to.include({ status: 'inactive', inactiveReason: 'denied' });
    const back = await t.call('POST /api/v1/llms/_provider-register', { token: token.text, body });
    expect(back.status).to.equal(401); // this edge believed the token a moment ago
  });
});
