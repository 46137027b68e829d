import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { v7 } from 'uuid';
import { msFor } from '../../core/runtime/time-of-bytes.ts';
import { claimTask, endClaim, handBack } from '../../core/queue/task/claim.ts';
import type { LlmRow } from '../../core/llm.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { createDuties } from '../../scheduler/duties/index.ts';
import type { DutyDeps } from '../../scheduler/duties/duty.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { dutyOf, holdingRow, refuseWrites, runDuty } from '../support/hindered.ts';
import { dutyDeps, submitTask } from '../support/tasks.ts';

const LONG_AGO = 1;
/** As Redis says it of one thing that it can never do. */
const refused = Object.assign(new Error('ERR user_script:1: poison'), { name: 'ReplyError' });

/** Every duty meets, beside one that it can do: a poisoned item, one whose row somebody holds, and one that is gone. */
describe('a duty among items that it cannot do', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  let deps: DutyDeps;
  beforeEach(async () => {
    t = await edgeFixture();
    deps = dutyDeps(t);
  });
  afterEach(() => t.close());

  const run = (name: string): Promise<number> => runDuty(deps, name);
  const task = (row: TaskRow) => t.deps.queue.keys.pool(row.poolName).task(row.id);
  const pool = () => t.deps.queue.keys.pool('p');
  const statusOf = async (row: TaskRow) => (await t.registry.tasks.byId(row.id))?.status;
  const ageRows = () => t.connection.db.raw(`update tasks set created_at = now() - interval '1 minute'`);
  /** While somebody holds this row. */
  const holding = <T>({ id }: TaskRow, work: () => Promise<T>): Promise<T> =>
    holdingRow(t.connection, ['tasks', id], work);
  /** Nobody can do anything with what stands there instead. */
  const poison = async (key: string): Promise<void> => {
    const { redis } = t.deps.queue;
    await redis.del(key);
    await redis.set(key, 'poison');
  };
  const claimed = async (row: TaskRow) => {
    const { redis, keys } = t.deps.queue;
    const by = { claimId: randomUUID(), session, boot: 'b', llmId: randomUUID() };
    const ref = { taskId: row.id, poolKey: 'p' };
    const taken = await claimTask({ redis, keys }, { ...ref, jobId: `${row.id}-1` }, by);
    expect(taken).to.include({ body: '{}' });
    return { ...ref, claimId: by.claimId, epoch: 1 };
  };
  const session = randomUUID();
  const four = async (): Promise<[TaskRow, TaskRow, TaskRow, TaskRow]> => [
    await submitTask(t),
    await submitTask(t),
    await submitTask(t),
    await submitTask(t),
  ];
  const vanish = (row: TaskRow) => t.connection.db('tasks').where({ id: row.id }).delete();

  it('settle', async () => {
    const [poisoned, locked, gone, good] = await four();
    const { redis, keys } = t.deps.queue;
    for (const row of [poisoned, locked, gone, good]) {
      const outcome = { kind: 'failed', code: 'x\0', message: '\ud800 \0' } as const;
      await endClaim({ redis, keys, eventKeepMs: 60_000 }, await claimed(row), outcome);
    }
    await redis.zadd(
      pool().ended,
      LONG_AGO,
      poisoned.id,
      LONG_AGO,
      locked.id,
      LONG_AGO,
      gone.id,
      LONG_AGO,
      good.id,
    );
    await poison(task(poisoned).stream);
    await vanish(gone);
    expect(await holding(locked, () => run('settle'))).to.equal(1);
    expect([await statusOf(good), await statusOf(locked)]).to.deep.equal(['error', 'pending']);
    expect(await run('settle')).to.equal(1);
    expect(await statusOf(locked)).to.equal('error');
    // What stood in place of its stream is gone, and its end with it: nobody was shown any of it, so it starts over.
    expect(await redis.zrange(pool().ended, '0', '-1')).to.deep.equal([]);
    expect(await statusOf(poisoned)).to.equal('pending');
    await ageRows();
    await run('reconcile');
    expect(await redis.hmget(task(poisoned).fence, 'epoch', 'state')).to.deep.equal(['2', 'open']);
  });

  it('settle, where an edge may be at an answer that is large: it has longer, as its bytes are', async () => {
    const [waited, small, longPast, nobodys] = await four();
    const { redis, keys } = t.deps.queue;
    const duty = dutyOf(deps, 'settle');
    const signal = new AbortController().signal;
    await duty.run(signal); // the first of a process asks nobody
    const body = JSON.stringify('x'.repeat(8 * 1024 * 1024));
    for (const row of [waited, small, longPast, nobodys])
      await endClaim({ redis, keys, eventKeepMs: 60_000 }, await claimed(row), {
        kind: 'completed',
        status: 200,
        body: row === small ? '{}' : body,
      });
    await t.connection.db('tasks').where({ id: nobodys.id }).update({ source: 'async' });
    await t.connection.db('tasks').whereIn('id', [waited.id, small.id, longPast.id]).update({ source: 'v1' });
    const ago = async (ms: number, ...rows: TaskRow[]): Promise<void> => {
      const at = (await t.deps.queue.server.now()) - ms;
      for (const row of rows) await redis.zadd(pool().ended, at, row.id);
    };
    await ago(3_000, waited, small, nobodys);
    await ago(2_500 + msFor(body.length) / 4 + 1, longPast);
    expect(await duty.run(signal)).to.equal(3);
    expect(await statusOf(waited)).to.equal('pending');
    await ago(2_500 + msFor(body.length) / 4 + 1, waited);
    expect(await duty.run(signal)).to.equal(1);
    expect(await statusOf(waited)).to.equal('completed');
  });

  it('expire', async () => {
    const [forged, locked, gone, good] = await four();
    const [listed, poisoned] = [await submitTask(t, { poolKey: 'q' }), await submitTask(t)];
    await t.connection.db.raw(`update tasks set queue_deadline = now() - interval '1 minute'`);
    // What stands in place of a fence, or of what a whole pool's tasks are listed in, is replaced.
    await poison(task(forged).fence);
    await poison(t.deps.queue.keys.pool('q').back);
    const { dispatch } = t.deps.queue;
    const closeMany = dispatch.closeMany.bind(dispatch);
    const refusing: typeof closeMany = async (refs, ...how) => {
      const answers = await closeMany(
        refs.filter(({ taskId }) => taskId !== poisoned.id),
        ...how,
      );
      return refs.map(({ taskId }) => (taskId === poisoned.id ? refused : (answers.shift() ?? refused)));
    };
    Object.assign(dispatch, { closeMany: refusing });
    await vanish(gone);
    expect(await holding(locked, () => run('expire'))).to.equal(3);
    for (const row of [forged, listed, good])
      expect(await t.registry.tasks.byId(row.id)).to.include({ errorCode: 'queue_timeout' });
    await run('expire');
    expect(await statusOf(locked)).to.equal('error');
    let elapsed = 0;
    const clock = { ...deps.clock, elapsed: () => elapsed };
    const duty = createDuties({ ...deps, clock }).find(({ name }) => name === 'expire');
    for (; elapsed < 60_000; elapsed += 10_000) await duty?.run(new AbortController().signal);
    expect(await statusOf(poisoned), 'one that never works is ended').to.equal('error');
  });

  it('orphans', async () => {
    const [poisoned, locked, gone, good] = await four();
    const { redis } = t.deps.queue;
    for (const row of [poisoned, locked, gone, good]) await redis.zadd(pool().orphans, LONG_AGO, row.id);
    await poison(task(poisoned).fence);
    await vanish(gone);
    let elapsed = 0;
    const clock = { ...deps.clock, elapsed: () => elapsed };
    const duty = createDuties({ ...deps, clock }).find(({ name }) => name === 'orphans');
    const turn = () => duty?.run(new AbortController().signal);
    for (; elapsed < 12_000; elapsed += 1_000)
      await (elapsed < 11_000 ? turn() : holding(locked, async () => turn()));
    expect(await statusOf(good)).to.equal('cancelled');
  });

  it('hand-back', async () => {
    const [poisoned, locked, gone, good] = await four();
    const { redis } = t.deps.queue;
    const why = { counts: 'none', code: 'shutting_down', message: 'Bye.' } as const;
    for (const row of [poisoned, locked, gone, good]) await handBack(t.deps.queue, await claimed(row), why);
    await poison(task(poisoned).fence);
    await vanish(gone);
    expect(await holding(locked, () => run('hand-back'))).to.equal(1);
    expect(await t.registry.tasks.byId(good.id)).to.include({ epoch: 2 });
    expect(await run('hand-back')).to.equal(1);
    // What is no fence any more was not handed back: it is left to reconcile and expire.
    expect(await redis.zrange(pool().back, '0', '-1')).to.deep.equal([]);
    expect(await statusOf(poisoned)).to.equal('pending');
  });

  it('reap', async () => {
    const [poisoned, locked, gone, good] = await four();
    const { redis } = t.deps.queue;
    for (const row of [poisoned, locked, gone, good]) {
      await claimed(row);
      await redis.zadd(pool().run, LONG_AGO, row.id);
    }
    await poison(task(poisoned).stream);
    await vanish(gone);
    await redis.set(t.deps.queue.keys.epoch, 1);
    await holding(locked, () => run('reap'));
    expect(await t.registry.tasks.byId(good.id)).to.include({ epoch: 2, crashes: 1 });
    await run('reap');
    expect(await t.registry.tasks.byId(locked.id)).to.include({ epoch: 2, crashes: 1 });
  });

  it('reconcile', async () => {
    const [poisoned, locked, gone, good] = await four();
    const { redis } = t.deps.queue;
    await ageRows();
    for (const row of [locked, gone, good]) await redis.del(task(row).fence);
    await poison(task(poisoned).fence);
    await vanish(gone);
    await holding(locked, () => run('reconcile'));
    expect(await t.registry.tasks.byId(good.id)).to.include({ epoch: 2 });
    expect(await redis.hget(task(good).fence, 'epoch')).to.equal('2');
    await run('reconcile');
    expect(await t.registry.tasks.byId(locked.id)).to.include({ epoch: 2 });
  });

  it('reconcile: past more that somebody holds than stand for a store that is away', async () => {
    const { redis } = t.deps.queue;
    const [good, ...lockedRows] = await Promise.all(Array.from({ length: 6 }, () => submitTask(t)));
    await ageRows();
    const outcome = { kind: 'cancelled', code: 'task_cancelled', message: 'x' } as const;
    for (const { id: taskId, poolName: poolKey } of lockedRows)
      await t.deps.queue.dispatch.close({ taskId, poolKey }, 'cancel', outcome);
    if (good) await redis.del(task(good).fence);
    const { db } = t.connection;
    const did = await db.transaction(async (trx) => {
      const ids = lockedRows.map(({ id }) => id);
      await trx('tasks').whereIn('id', ids).forUpdate().select('id');
      return await run('reconcile');
    });
    expect(did).to.equal(1);
    expect(await run('reconcile')).to.equal(5);
  });

  it('prune', async () => {
    const [locked, good] = await four();
    const ended = { status: 'cancelled', code: 'task_cancelled', message: 'x' } as const;
    for (const row of [locked, good]) await t.registry.tasks.close(row.id, ended);
    await t.connection.db.raw('alter table tasks disable trigger guard_task');
    await t.connection.db.raw(
      `update tasks set completed_at = now() - interval '1 year' where completed_at is not null`,
    );
    await t.connection.db.raw('alter table tasks enable trigger guard_task');
    await holding(locked, () => run('prune'));
    expect([await statusOf(good), await statusOf(locked)]).to.deep.equal([undefined, 'cancelled']);
  });

  it('prune and forget: bodies, where one row takes no write and one is held', async () => {
    const [poisoned, locked, good] = await four();
    await t.connection.db('tasks').update({ retention: 'none' });
    const ended = { status: 'cancelled', code: 'task_cancelled', message: 'x' } as const;
    for (const row of [poisoned, locked, good]) await t.registry.tasks.close(row.id, ended);
    await t.connection.db.raw('alter table tasks disable trigger user');
    await t.connection.db.raw(`update tasks set completed_at = now() - interval '1 day', kept_bytes = null
      where completed_at is not null`);
    await t.connection.db.raw('alter table tasks enable trigger user');
    await refuseWrites(t.connection, ['tasks', poisoned.id]);
    await holding(locked, async () => [await run('forget'), await run('prune')]);
    const { rows } = await t.connection.db.raw<{ rows: { id: string; kept: boolean; weighed: boolean }[] }>(
      'select id, request_body is not null as kept, kept_bytes is not null as weighed from tasks where completed_at is not null',
    );
    expect(rows).to.have.deep.members([
      { id: good.id, kept: false, weighed: true },
      { id: locked.id, kept: true, weighed: false },
      { id: poisoned.id, kept: true, weighed: false },
    ]);
  });

  it('deny: past a session that somebody holds, one that takes no write, and one that cannot be put out', async () => {
    const names = ['poisoned', 'held', 'stuck', 'good'] as const;
    const llms = new Map<string, LlmRow>();
    for (const name of names) {
      const registered = await t.registry.sessions.register(t.publication(t.ada, [name]));
      for (const llm of registered.llms) llms.set(name, llm);
      const made = { userId: t.ada.id, name, pools: null, expiresInDays: null, createdBy: null };
      const { id: tokenId } = (await t.registry.tokens.create(made)).row;
      await t.connection
        .db('sessions')
        .where({ id: llms.get(name)?.providerSessionId })
        .update({ tokenId });
      await t.connection.db('tokens').where({ id: tokenId }).update({ revokedAt: new Date() });
    }
    const { db } = t.connection;
    await refuseWrites(t.connection, ['llms', llms.get('poisoned')?.id ?? '']);
    await poison(t.deps.queue.keys.pool('stuck').members);
    await db.transaction(async (trx) => {
      await trx('sessions')
        .where({ id: llms.get('held')?.providerSessionId })
        .forUpdate()
        .select('id');
      await run('deny');
    });
    const reasons = async () =>
      Object.fromEntries(
        (
          await db('llms').select<{ name: string; inactiveReason: string | null }[]>('name', 'inactiveReason')
        ).map(({ name, inactiveReason }) => [name, inactiveReason]),
      );
    expect(await reasons()).to.deep.equal({ poisoned: null, held: null, stuck: 'denied', good: 'denied' });
    await run('deny');
    expect(await reasons()).to.include({ poisoned: null, held: 'denied' });
  });

  it('sweep-llms, and an edge that writes heartbeats: past a session whose row takes no write', async () => {
    const { db } = t.connection;
    const sessions: string[] = [];
    for (const name of ['poisoned', 'good']) {
      const [llm] = (await t.registry.sessions.register(t.publication(t.ada, [name]))).llms;
      sessions.push(llm?.providerSessionId ?? '');
      if (name === 'poisoned') await refuseWrites(t.connection, ['llms', llm?.id ?? '']);
    }
    await t.connection.db('sessions').update({ lastHeartbeatAt: new Date(1) });
    await t.deps.queue.redis.set(t.deps.queue.keys.epoch, 1);
    await run('sweep-llms');
    const gone = await db('llms')
      .where({ inactiveReason: 'publisher_gone' })
      .select<{ name: string }[]>('name');
    expect(gone).to.deep.equal([{ name: 'good' }]);
    for (const id of sessions) await t.deps.presence.hold(id, 'boot');
    const speaker = { userId: t.ada.id, tokenId: randomUUID(), instance: undefined };
    for (const id of sessions)
      await t.deps.heartbeats.beat({ providerSessionId: id }, speaker).catch(() => undefined);
    const missed: unknown[] = [];
    t.bus.on('loop.left', (of) => missed.push(of));
    await t.deps.heartbeats.stop();
    expect(missed).to.deep.equal([{ loop: 'heartbeats', left: 0, failed: 1, ended: 0 }]);
    expect(await t.registry.sessions.beatenWithin(sessions, 60_000)).to.include(sessions[1]);
  });

  it('hosted-tools: past what is no report, what stands in the place of one, and a server that takes no write', async () => {
    const { hostedServers, redis, keys } = t.deps.queue;
    const names = ['foreign', 'odd', 'locked', 'good'];
    const ids = new Map<string, string>();
    for (const name of names) {
      const source = { command: 'node', args: [] };
      const answer = await t.call('POST /api/v1/servers', { token: t.tokens.root, body: { name, source } });
      ids.set(name, (answer.json as { id: string }).id);
      const tools = [{ name: `of-${name}`, inputSchema: { type: 'object' } }];
      const report = { journal: randomUUID(), info: { name, version: '1' }, tools };
      const text = name === 'odd' ? 'x' : JSON.stringify(report);
      await hostedServers.tell(`mcp.${name}`, { mark: 'first', report: text });
    }
    await poison(keys.pool('mcp.foreign').tells);
    const turn = () => run('hosted-tools');
    const toolsOf = async (name: string) => {
      const { json } = await t.call(`GET /api/v1/servers/${name}`, { token: t.tokens.root });
      return (json as { tools: string[] }).tools;
    };
    await holdingRow(t.connection, ['servers', ids.get('locked') ?? ''], turn);
    expect(await Promise.all(names.map(toolsOf))).to.deep.equal([[], [], [], ['of-good']]);
    await turn();
    expect(await toolsOf('locked')).to.deep.equal(['of-locked']);
    // What was said again in a Redis that lost it is taken, and what stands in its place gives way to it.
    const again = { journal: randomUUID(), info: { name: 'f', version: '1' }, tools: [] };
    await hostedServers.tell('mcp.foreign', { mark: 'second', report: JSON.stringify(again) });
    await turn();
    expect(await redis.type(keys.pool('mcp.foreign').tells)).to.equal('hash');
    // One that runs at another worker is not this one's, until that has let go of it.
    const [mine, other] = [randomUUID(), randomUUID()];
    expect(await hostedServers.hold('mcp.good', mine, 10_000)).to.equal(true);
    expect(await hostedServers.hold('mcp.good', other, 10_000)).to.equal(false);
    await hostedServers.release('mcp.good', other);
    expect(await hostedServers.hold('mcp.good', mine, 10_000)).to.equal(true);
    await hostedServers.release('mcp.good', mine);
    expect(await hostedServers.hold('mcp.good', other, 10_000)).to.equal(true);
  });

  it('clear-jobs and wake: past a queue and a fence that cannot be read', async () => {
    const [poisoned, good] = await four();
    const { redis, keys } = t.deps.queue;
    await submitTask(t, { poolKey: 'other' });
    await poison(task(poisoned).fence);
    await poison(`${keys.namespace}:${keys.pool('other').queue()}:wait`);
    await vanish(good);
    await run('wake');
    const clearing = createDuties(deps).find(({ name }) => name === 'clear-jobs');
    for (const _ of [1, 2]) await clearing?.run(new AbortController().signal);
    expect(await redis.exists(`${keys.namespace}:${pool().queue()}:${good.id}-1`)).to.equal(0);
  });

  it('clear-queues: what BullMQ keeps of an llm and a pool that are gone goes with them', async () => {
    const { redis, keys } = t.deps.queue;
    const { llms } = await t.registry.sessions.register(t.publication(t.ada, ['solo']));
    const row = await submitTask(t, { poolKey: 'solo', pin: llms[0]?.id ?? null });
    await submitTask(t, { poolKey: 'solo' });
    await t.connection.db('llms').where({ name: 'solo' }).delete();
    expect(await run('clear-queues'), 'its tasks are open').to.equal(0);
    await run('expire');
    expect(await statusOf(row)).to.equal('error');
    expect(await run('clear-queues')).to.equal(1);
    expect(await redis.keys(`${keys.namespace}:{${keys.pool('solo').hash}}*`)).to.deep.equal([]);
  });

  it('clear-queues: who deletes llms by the hundred leaves no more rows than a turn takes away', async () => {
    await t.connection.db.raw(
      `insert into gone_queues (pool_key, llm_id) select 'many', gen_random_uuid() from generate_series(1, 600)`,
    );
    expect(await run('clear-queues')).to.equal(600);
  });

  it('a request that cannot be read any more ends its task, and no other', async () => {
    const [broken, good] = await four();
    await t.connection.db('tasks').where({ id: broken.id }).update({ requestHeaders: '{}' });
    await ageRows();
    for (const row of [broken, good]) await t.deps.queue.redis.del(task(row).fence);
    await run('reconcile');
    expect(await t.registry.tasks.byId(broken.id)).to.include({ status: 'error', errorCode: 'internal' });
    expect(await t.registry.tasks.byId(good.id)).to.include({ epoch: 2 });
  });

  it('what a requeue needs is laid anew when it has expired, and the time with a member was not waiting', async () => {
    const row = await submitTask(t, { source: 'async' });
    await claimed(row);
    const { redis } = t.deps.queue;
    await redis.del(task(row).input);
    await redis.zadd(pool().run, LONG_AGO, row.id);
    await t.connection.db.raw(
      `update tasks set created_at = now() - interval '1 hour', queue_deadline = now() - interval '1 second'`,
    );
    await redis.set(t.deps.queue.keys.epoch, 1);
    expect(await run('reap')).to.equal(1);
    expect(await redis.hget(task(row).input, 'body')).to.equal('{}');
    expect(await t.registry.tasks.overdue({ skip: 0, limit: 10 })).to.have.length(0);
  });

  it('what nobody has heard of costs nothing', async () => {
    await submitTask(t);
    await t.deps.queue.redis.zadd(pool().ended, LONG_AGO, v7());
    expect(await run('settle')).to.equal(0);
    expect(await t.deps.queue.redis.zcard(pool().ended)).to.equal(0);
  });
});
