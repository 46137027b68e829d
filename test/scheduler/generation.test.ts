import { expect } from 'chai';
import { claimTask, endClaim } from '../../core/queue/task/claim.ts';
import { readFences, show, type Fence } from '../../core/queue/task/fence.ts';
import { countIn, Trusted } from '../../core/queue/live/generation.ts';
import { createEpochDuty } from '../../scheduler/duties/epoch.ts';
import { createExpireDuty } from '../../scheduler/duties/expire.ts';
import { createReconcileDuty } from '../../scheduler/duties/reconcile.ts';
import type { NewTask } from '../../core/registry/tasks/insert-tasks.ts';
import { openHouse, POOL, SESSION, type House } from '../model/histories/house.ts';
import { submissionOf } from '../support/tasks.ts';
import { remember, turnBack } from '../support/turn-back.ts';
import type { Duty } from '../../scheduler/duties/duty.ts';

const signal = new AbortController().signal;

describe('a Redis that went back in time', () => {
  let t: House;
  before(async () => {
    t = await openHouse();
  });
  beforeEach(async () => {
    await t.connection.db('tasks').delete();
    await t.connection.db('redisGenerations').delete();
    await t.loseRedis();
    await t.present();
  });
  after(() => t.end());

  /** A scheduler that has just begun to lead. */
  const leader = (): Duty => {
    const deps = t.dutyDeps(t.tools);
    return createEpochDuty(deps, createReconcileDuty(deps));
  };
  const submit = async (more: Partial<NewTask> = {}): Promise<string> => {
    const task = { ...t.newTask('async'), ...more };
    await t.registry.tasks.insert(task);
    await t.queue.dispatch.enqueue(submissionOf(task));
    return task.id;
  };
  const fenceOf = async (id: string): Promise<Fence | null> =>
    (await readFences(t.queue.redis, t.queue.keys, [{ taskId: id, poolKey: POOL }]))[0] ?? null;
  const claim = (id: string, claimId: string) =>
    claimTask(
      t.queue,
      { taskId: id, poolKey: POOL, jobId: `${id}-1` },
      { claimId, session: SESSION, boot: 'b1', llmId: t.members[0] ?? '' },
    );
  const another = (): Promise<unknown> => t.queue.redis.hset(t.queue.keys.generation, 'run', 'another');

  for (const [how, harm] of [
    ['was turned back while it ran', () => Promise.resolve(0)],
    ['is another process', another],
  ] as const)
    it(`that ${how} gives no task that waits to a claim under an epoch that it had`, async () => {
      const duty = leader();
      await duty.run(signal);
      const [waits, runs] = [await submit(), await submit()];
      await claim(runs, 'c1');
      const before = await remember(t);
      await duty.run(signal);
      await claim(waits, 'lost');
      await turnBack(t, before);
      await harm();
      expect(await duty.run(signal)).to.equal(2);
      expect(await fenceOf(waits)).to.include({ epoch: 2, claim: '', state: 'open' });
      expect(await fenceOf(runs), 'whose claim says who it is').to.include({ epoch: 1, claim: 'c1' });
      expect(await claim(waits, 'c2')).to.include({ epoch: 2 });
      expect(await duty.run(signal), 'once').to.equal(0);
    });

  it('is noticed by a leader that never saw it: Postgres knows how far it had counted', async () => {
    const first = leader();
    await first.run(signal);
    const before = await remember(t);
    const id = await submit();
    for (let n = 0; n < 25; n++) await first.run(signal);
    await turnBack(t, before);
    expect(await leader().run(signal)).to.equal(2);
    expect(await fenceOf(id)).to.include({ epoch: 2 });
  });

  it('is trusted once it was gone through, though somebody holds what is noted of it', async () => {
    const duty = leader();
    await duty.run(signal);
    await submit();
    await another();
    await t.connection.db.transaction(async (trx) => {
      await trx('redisGenerations').forUpdate().select();
      expect(await duty.run(signal)).to.equal(2);
      expect(await duty.run(signal)).to.equal(0);
    });
  });

  it('ends a task once, though its end and the pin of its claim are lost', async () => {
    const duty = leader();
    await duty.run(signal);
    const id = await submit();
    const before = await remember(t);
    await duty.run(signal);
    await claim(id, 'c1');
    await show(t.queue.redis, t.queue.keys, { ref: { taskId: id, poolKey: POOL }, attempt: { epoch: 1 } });
    const ref = { taskId: id, poolKey: POOL };
    await endClaim(
      { ...t.queue, eventKeepMs: 60_000 },
      { ...ref, claimId: 'c1' },
      { kind: 'completed', status: 200 },
    );
    await turnBack(t, before);
    await duty.run(signal);
    expect(
      await endClaim(
        { ...t.queue, eventKeepMs: 60_000 },
        { ...ref, claimId: 'c1' },
        { kind: 'completed', status: 200 },
      ),
    ).to.equal(false);
    expect(await claim(id, 'c2')).to.include({ epoch: 2 });
  });

  it('has calls of tools that nobody took in time end as ones that may have run, and as no other before that is known', async () => {
    const duty = leader();
    await duty.run(signal);
    const call = { operation: 'mcp' } as const;
    const [taken, chat] = [await submit(call), await submit()];
    const before = await remember(t);
    await duty.run(signal);
    await claim(taken, 'lost');
    await turnBack(t, before);
    await another();
    const expire = createExpireDuty(t.dutyDeps(t.tools));
    const codes = async (...ids: string[]): Promise<unknown[]> => {
      await t.connection
        .db('tasks')
        .whereNull('completedAt')
        .update({ queueDeadline: new Date(0) });
      await expire.run(signal);
      return await Promise.all(ids.map(async (id) => (await t.registry.tasks.byId(id))?.errorCode));
    };
    expect(await codes(taken, chat)).to.deep.equal([null, 'queue_timeout']);
    await duty.run(signal);
    const handedBack = await submit(call);
    const lost = { counts: 'none', llmId: 'm', session: SESSION, startedAt: null, reason: 'full' } as const;
    expect(await t.registry.tasks.nextEpoch(handedBack, 1, lost)).to.include({ epoch: 2 });
    expect(await codes(taken, handedBack)).to.deep.equal(['outcome_unknown', 'queue_timeout']);
  });

  it('is no reason to begin anything anew when a leader meets it first, or was not away', async () => {
    const id = await submit();
    await t.age();
    for (const duty of [leader(), leader()]) expect(await duty.run(signal)).to.equal(0);
    expect(await fenceOf(id)).to.include({ epoch: 1 });
  });

  it('keeps members from claiming until a leader has been through it', async () => {
    const duty = leader();
    await duty.run(signal);
    const trusted = new Trusted({ ...t.queue, ...t.dutyDeps(t.tools) });
    try {
      trusted.start();
      await trusted.untilOpen(signal);
      await another();
      const { redis } = t.queue;
      const back = new Promise((resolve) => redis.once('ready', resolve));
      redis.disconnect(true);
      await back;
      expect(trusted.isOpen()).to.equal(false);
      expect((await countIn(t.queue, 0)).is).to.equal('other');
      expect(trusted.isOpen()).to.equal(false);
      await duty.run(signal);
      await trusted.untilOpen(signal);
      expect((await countIn(t.queue, 0)).is).to.equal('same');
    } finally {
      trusted.stop();
    }
  });
});
