import { expect } from 'chai';
import fc from 'fast-check';
import { v7 } from 'uuid';
import type { TaskRow } from '../../core/task/task.ts';
import { fairShare } from '../../scheduler/fair-share.ts';
import { createForgetDuty } from '../../scheduler/duties/forget.ts';
import { createPruneDuty } from '../../scheduler/duties/prune.ts';
import type { DutyDeps } from '../../scheduler/duties/duty.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { dutyDeps, endingOf, newTask, submitTask } from '../support/tasks.ts';

const KB = 1_000;
const nothing = { requestBody: null, responseBody: null };

describe('the duty forget', () => {
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());
  beforeEach(() => t.connection.db('tasks').delete());

  const forget = async (maxUserKeptBytes: number, maxKeptBytes = 1_000 * KB): Promise<number> => {
    const deps = dutyDeps(t);
    const duty = createForgetDuty({ ...deps, config: { ...deps.config, maxUserKeptBytes, maxKeptBytes } });
    return await duty.run(new AbortController().signal);
  };
  const asking = (ownerId: string, bytes = 5 * KB): Promise<TaskRow> =>
    submitTask(t, { ownerId, requestBody: JSON.stringify('x'.repeat(bytes - 2)) });
  /** Ended, with ten kilobytes: half of them its answer. */
  const ended = async (ownerId = t.ada.id): Promise<TaskRow> => {
    const row = await asking(ownerId);
    const body = JSON.stringify('y'.repeat(5 * KB - 2));
    const outcome = { kind: 'completed', status: 200, body } as const;
    return (await t.registry.tasks.settle(row.id, endingOf(outcome))) ?? expect.fail('not settled');
  };
  const several = async (n: number, ownerId = t.ada.id): Promise<TaskRow[]> => {
    const rows: TaskRow[] = [];
    for (let i = 0; i < n; i++) rows.push(await ended(ownerId));
    return rows;
  };
  const bytesOf = (rows: readonly TaskRow[]) =>
    Promise.all(rows.map(({ id }) => t.registry.tasks.bodyBytes(id)));

  it("forgets a user's oldest bodies over the cap, keeps rows and outcomes, and touches nobody else's", async () => {
    const others = await several(2, t.bob.id); // older than all of ada's
    const flood = await several(5);
    const removed: number[] = [];
    const off = t.bus.on('scheduler.removed', ({ kind, count }) => {
      if (kind === 'kept_body') removed.push(count);
    });
    expect(await forget(25 * KB)).to.equal(3);
    off();
    expect(removed).to.deep.equal([3]);
    expect(await bytesOf(flood)).to.deep.equal([0, 0, 0, 10 * KB, 10 * KB]);
    expect(await bytesOf(others)).to.deep.equal([10 * KB, 10 * KB]);
    const [first] = flood;
    expect(await t.registry.tasks.byId(first?.id ?? '')).to.deep.equal(first);
    expect(await forget(25 * KB), 'again').to.equal(0);
  });

  it('leaves what waits or runs alone, however much it is', async () => {
    const row = await asking(t.ada.id, 200 * KB);
    await ended();
    expect(await forget(KB)).to.equal(1);
    expect(await t.registry.tasks.bodyBytes(row.id)).to.equal(200 * KB);
  });

  it('in all, those who keep most lose theirs, and who keeps little nothing', async () => {
    const much = await several(6);
    const little = await several(1, t.bob.id);
    expect(await forget(1_000 * KB, 40 * KB)).to.equal(3);
    expect(await bytesOf(much)).to.deep.equal([0, 0, 0, 10 * KB, 10 * KB, 10 * KB]);
    expect(await bytesOf(little)).to.deep.equal([10 * KB]);
  });

  it('goes past a row that somebody holds', async () => {
    const [locked, next, last] = await several(3);
    await t.connection.db.transaction(async (trx) => {
      await trx('tasks').where({ id: locked?.id }).forUpdate().select('id');
      expect(await forget(20 * KB)).to.equal(1);
    });
    const rows = [locked, next, last].filter((row) => row !== undefined);
    expect(await bytesOf(rows)).to.deep.equal([10 * KB, 0, 10 * KB]);
  });

  it('weighs what ended before there were weights, and counts what was dropped as nothing', async () => {
    const rows = await several(3);
    const { db } = t.connection;
    await db.raw('alter table tasks disable trigger weigh_task');
    await db('tasks').update({ keptBytes: null });
    await db.raw('alter table tasks enable trigger weigh_task');
    await db('tasks').where({ id: rows[2]?.id }).update(nothing);
    expect(await forget(15 * KB)).to.equal(1);
    expect(await bytesOf(rows)).to.deep.equal([0, 10 * KB, 0]);
  });

  it('stops in the middle of calls that have passed once an owner has had their time', async () => {
    const deps = dutyDeps(t);
    let now = 0;
    const forgotten: string[] = [];
    const oldest = Array.from({ length: 250 }, (_, n) => ({ id: `${n}`, ownerId: t.ada.id, bytes: KB }));
    const threads = {
      ...deps.registry.threads,
      passingBytes: async () => new Map([[t.ada.id, 250 * KB]]),
      oldestPassing: async () => oldest.slice(forgotten.length),
      async forgetPassing(id: string) {
        forgotten.push(id);
        now += 1_000;
        return [];
      },
    };
    const duty = createForgetDuty({
      ...deps,
      config: { ...deps.config, maxUserKeptBytes: KB },
      registry: { ...deps.registry, threads },
      clock: { ...deps.clock, elapsed: () => now },
    });
    expect(await duty.run(new AbortController().signal)).to.equal(6);
    expect(forgotten).to.have.length(6);
  });

  it('says so to who comes for it', async () => {
    const row = await ended();
    await t.deps.queue.dispatch.forgetEvents({ taskId: row.id, poolKey: row.poolName });
    await forget(KB);
    const shown = await t.call(`GET /api/v1/tasks/${row.id}`);
    expect(shown.json).to.include({ status: 'completed', request: null, response: null });
    const streamed = await t.call(`GET /api/v1/tasks/${row.id}/stream`);
    expect(streamed.status).to.equal(410);
    expect(streamed.text).to.include('MCPCTL_MAX_USER_KEPT_BYTES');
  });

  it('finds its rows along indexes of what is kept', async () => {
    const { rows } = await t.connection.db.raw<{ rows: { indexdef: string }[] }>(
      `select indexdef from pg_indexes where schemaname = current_schema() and indexname in ('tasks_kept', 'tasks_unweighed')`,
    );
    expect(rows).to.have.length(2);
    const plan = await t.connection.db.transaction(async (trx) => {
      await trx.raw('set local enable_seqscan = off; set local enable_bitmapscan = off');
      return await trx.raw<{ rows: unknown[] }>(
        `explain select owner_id, sum(kept_bytes) from tasks where kept_bytes > 0 group by owner_id`,
      );
    });
    expect(JSON.stringify(plan.rows)).to.include('Index Only Scan using tasks_kept');
  });
});

describe('the duty prune, of who has more tasks than are kept', () => {
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());
  beforeEach(() => t.connection.db('tasks').delete());

  const open = (ownerId: string): Promise<TaskRow> => submitTask(t, { ownerId });
  const ended = async (ownerId: string): Promise<string> => {
    const key = { key: v7(), requestHash: 'h', lifeMs: 60_000, ownerId };
    const { row } = (await t.registry.idempotency.insert(newTask({ ownerId }), key)) as { row: TaskRow };
    await t.registry.tasks.close(row.id, { status: 'cancelled', code: 'task_cancelled', message: 'x' });
    return row.id;
  };
  const several = async (n: number, ownerId: string): Promise<string[]> => {
    const ids: string[] = [];
    for (let i = 0; i < n; i++) ids.push(await ended(ownerId));
    return ids;
  };
  const left = () => t.connection.db('tasks').orderBy('id').pluck<string[]>('id');
  const prune = async (given: Partial<DutyDeps['config']>): Promise<void> => {
    await t.connection.db.raw('analyze tasks'); // or it may not be known that there are any
    const deps = dutyDeps(t);
    await createPruneDuty({ ...deps, config: { ...deps.config, eventKeepMs: 0, ...given } }).run(
      new AbortController().signal,
    );
  };

  it('deletes the oldest that ended, their keys with them, and nothing that is open, or of others', async () => {
    const waits = await open(t.ada.id);
    const [, , ...newest] = await several(5, t.ada.id);
    const others = await several(3, t.bob.id);
    await prune({ maxUserKeptTasks: 4 });
    expect(await left()).to.deep.equal([waits.id, ...newest, ...others]);
    const keyed = await t.connection.db('idempotency').select<{ taskId: string }[]>('taskId');
    expect(keyed.map(({ taskId }) => taskId)).to.have.members([...newest, ...others]);
  });

  it('in all, of those who have most, until they are alike', async () => {
    const little = await several(1, t.bob.id);
    const much = await several(6, t.ada.id);
    await prune({ maxKeptTasks: 4 });
    expect(await left()).to.deep.equal([...little, ...much.slice(3)]);
  });

  it('leaves whose answer may still be taken up, and counts nobody while there are far fewer', async () => {
    const ids = await several(3, t.ada.id);
    await prune({ maxUserKeptTasks: 1, eventKeepMs: 60_000 });
    expect(await left()).to.deep.equal(ids);
    expect(await t.registry.tasks.countedOf(100)).to.deep.equal(new Map());
    expect(await t.registry.tasks.countedOf(4)).to.deep.equal(new Map([[t.ada.id, 3]]));
  });
});

describe('the fair share', () => {
  it('fits, takes nothing of who has less, and leaves no room that somebody wanted', () => {
    const amounts = fc.array(fc.nat(1_000), { maxLength: 20 });
    fc.assert(
      fc.property(amounts, fc.nat(5_000), (of, total) => {
        const share = fairShare(of, total);
        const all = of.reduce((sum, amount) => sum + amount, 0);
        const given = of.reduce((sum, amount) => sum + Math.min(amount, share), 0);
        expect(given).to.be.closeTo(Math.min(all, total), 1e-6);
      }),
    );
  });
});
