import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { assemble } from '../../core/agent/assemble.ts';
import type { TurnView } from '../../core/agent/thread.ts';
import { claimTask, endClaim } from '../../core/queue/task/claim.ts';
import type { TaskRow } from '../../core/task/task.ts';
import type { DutyDeps } from '../../scheduler/duties/duty.ts';
import { edgeFixture, publicLlm, type EdgeFixture } from '../support/edge.ts';
import { dutyOf, holdingRow, refuseWrites, runDuty } from '../support/hindered.ts';
import { codeOf } from '../support/registry.ts';
import { dutyDeps, endingOf, submitTask } from '../support/tasks.ts';

/** As `isolation.test.ts`, of duties over what people keep: threads, events, rights and users of Redis. */
describe('a duty over what is kept, among items that it cannot do', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  let deps: DutyDeps;
  beforeEach(async () => {
    t = await edgeFixture();
    deps = dutyDeps(t);
  });
  afterEach(() => t.close());

  const statusOf = async ({ id }: TaskRow) => (await t.registry.tasks.byId(id))?.status;
  const streamOf = ({ poolName, id }: TaskRow): string => t.deps.queue.keys.pool(poolName).task(id).stream;

  it('threads: past one that cannot be deleted, one that somebody speaks in, and old requests of both', async () => {
    await publicLlm(t, 'gpt');
    const root = { token: t.tokens.root };
    await t.call('POST /api/v1/agents', { ...root, body: { name: 'reviewer', llm: 'gpt' } });
    const said: TurnView[] = [];
    for (let n = 0; n < 3; n++) {
      const asked = { body: { message: 'hi' }, headers: { prefer: 'respond-async' } };
      const answer = await t.call('POST /api/v1/agents/reviewer/chat', asked);
      expect(answer.status, answer.text).to.equal(202);
      said.push(answer.json as TurnView);
    }
    const [poisoned = '', held = '', good = ''] = said.map(({ threadId }) => threadId);
    const { db } = t.connection;
    for (const { taskId } of said)
      await t.registry.tasks.close(taskId ?? '', {
        status: 'cancelled',
        code: 'task_cancelled',
        message: 'x',
      });
    const old = new Date(Date.now() - 400 * 86_400_000);
    await db('chatTurns').update({ endedAt: old });
    await db('chatThreads').update({ lastTurnAt: old });
    await refuseWrites(t.connection, ['chat_threads', poisoned], 'update or delete');
    const given = { ...deps, config: { ...deps.config, threadRetentionMs: 86_400_000 } };
    const duty = dutyOf(given, 'threads');
    const turn = () => duty.run(new AbortController().signal);
    await holdingRow(t.connection, ['chatThreads', held], turn);
    const left = async () => (await db('chatThreads').pluck<string[]>('id')).sort();
    expect(await left()).to.deep.equal([poisoned, held].sort());
    expect(good).to.not.equal('');
    await turn();
    // Whose thread was held rests for a moment after it failed.
    expect(await runDuty(given, 'threads')).to.equal(1);
    expect(await left()).to.deep.equal([poisoned]);
    const [{ bodyDropped = false } = {}] = await db('chatTurns')
      .where({ threadId: poisoned })
      .select<{ bodyDropped: boolean }[]>('bodyDropped');
    expect(bodyDropped, 'its old request goes all the same').to.equal(true);
  });

  it('settle: of a turn that somebody holds, whose answer is held against nothing, and costs no other its end', async () => {
    await publicLlm(t, 'gpt');
    await t.call('POST /api/v1/agents', { token: t.tokens.root, body: { name: 'reviewer', llm: 'gpt' } });
    const asked = { body: { message: 'hi' }, headers: { prefer: 'respond-async' } };
    const { taskId } = (await t.call('POST /api/v1/agents/reviewer/chat', asked)).json as TurnView;
    const others = await Promise.all([1, 2, 3].map(() => submitTask(t)));
    const done = endingOf({ kind: 'completed', status: 200, body: '{}' });
    const turn = await t.registry.tasks.byId(taskId ?? '');
    if (!turn?.turnId) return expect.fail('no turn');
    const { redis, keys } = t.deps.queue;
    const by = { claimId: randomUUID(), session: randomUUID(), boot: 'b', llmId: randomUUID() };
    const ref = { taskId: turn.id, poolKey: turn.poolName };
    await claimTask(t.deps.queue, { ...ref, jobId: `${turn.id}-1` }, by);
    await endClaim({ redis, keys, eventKeepMs: 60_000 }, { ...ref, claimId: by.claimId }, done.outcome);
    const warnings: unknown[] = [];
    const log = { ...deps.log, warn: (about: unknown) => void warnings.push(about) } as typeof deps.log;
    const duty = dutyOf({ ...deps, log }, 'settle');
    await holdingRow(t.connection, ['chatTurns', turn.turnId], async () => {
      const settling = others.map(({ id }) => t.registry.tasks.settle(id, done));
      const own = codeOf(t.registry.tasks.settle(turn.id, done, { answer: assemble(turn.id, ['{}']) }));
      for (const row of await Promise.all(settling)) expect(row?.status).to.equal('completed');
      expect(await own).to.match(/^unavailable/);
      await duty.run(new AbortController().signal);
    });
    expect(warnings).to.have.length(1);
    expect(warnings[0]).to.include({ id: turn.id, times: 0 });
    await t.registry.tasks.settle(turn.id, done, { answer: assemble(turn.id, ['{}']) });
    expect(await statusOf(turn)).to.equal('completed');
  });

  it('drop-events: past a stream that is none, of a task that ended and of one that runs', async () => {
    const { redis } = t.deps.queue;
    const made: TaskRow[] = [];
    for (const isOver of [true, true, false, false]) {
      const row = await submitTask(t, { streaming: true });
      for (let seq = 1; seq <= 10; seq++)
        await redis.xadd(streamOf(row), `1-${String(seq)}`, 'd', 'x'.repeat(10_000));
      const endedAt = new Date(Date.now() - 60_000);
      const ending = { ...endingOf({ kind: 'completed', status: 200, body: '{}' }), endedAt };
      if (isOver) await t.registry.tasks.settle(row.id, ending);
      made.push(row);
    }
    const [poisonedEnd, end, poisonedRun, runs] = made.map(streamOf);
    for (const key of [poisonedEnd, poisonedRun]) {
      await redis.del(key ?? '');
      await redis.set(key ?? '', 'x'.repeat(100_000));
    }
    await runDuty({ ...deps, config: { ...deps.config, maxUserEventMemory: 20_000 } }, 'drop-events');
    expect(await redis.pttl(end ?? ''), 'goes').to.be.within(1, 10_000);
    expect(await redis.pttl(poisonedEnd ?? ''), 'goes').to.be.within(1, 10_000);
    expect(await redis.xlen(runs ?? '')).to.equal(5);
  });

  it('unentitled: past a fence that is none, a row that somebody holds, and one that is gone', async () => {
    await publicLlm(t, 'p');
    const rows: TaskRow[] = [];
    for (let n = 0; n < 4; n++) rows.push(await submitTask(t, { ownerId: t.ada.id, llmName: 'p' }));
    const [poisoned, locked, gone, good] = rows as [TaskRow, TaskRow, TaskRow, TaskRow];
    const { status } = await t.call('DELETE /api/v1/rbac/everyone', { token: t.tokens.root });
    expect(status).to.equal(204);
    const { redis, keys } = t.deps.queue;
    const { fence } = keys.pool('p').task(poisoned.id);
    await redis.del(fence);
    await redis.set(fence, 'poison');
    await t.connection.db('tasks').where({ id: gone.id }).delete();
    const duty = dutyOf(deps, 'unentitled');
    const turn = () => duty.run(new AbortController().signal);
    await holdingRow(t.connection, ['tasks', locked.id], turn);
    expect([await statusOf(good), await statusOf(locked)]).to.deep.equal(['cancelled', 'pending']);
    await turn();
    expect(await statusOf(locked)).to.equal('cancelled');
  });

  it('redis-users: past one that Redis refuses', async () => {
    const sessions: string[] = [];
    for (const name of ['poisoned', 'good']) {
      const provider = { name, type: 'openai', model: 'm' };
      const body = { transports: ['redis', 'sse'], instanceId: randomUUID(), providers: [provider] };
      const answer = await t.call('POST /api/v1/llms/_provider-register', { token: t.tokens.ada, body });
      expect(answer.status, answer.text).to.equal(201);
      sessions.push((answer.json as { providerSessionId: string }).providerSessionId);
    }
    const [poisoned = '', good = ''] = sessions;
    const { redis } = t.deps.queue;
    const list = async () => (await redis.call('ACL', 'USERS')) as string[];
    const nameOf = async (id: string) => (await list()).find((name) => name.endsWith(id));
    expect(await nameOf(good)).to.be.a('string');
    for (const id of sessions) await redis.call('ACL', 'DELUSER', (await nameOf(id)) ?? '');
    // No rule of Redis can be made of it.
    await t.connection.db('sessions').where({ id: poisoned }).update({ redisHash: 'no hash' });
    await runDuty(deps, 'redis-users');
    expect(await nameOf(good)).to.be.a('string');
    expect(await nameOf(poisoned)).to.equal(undefined);
  });
});
