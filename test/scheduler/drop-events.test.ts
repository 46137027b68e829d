import { expect } from 'chai';
import type { TaskRow } from '../../core/task/task.ts';
import { createDropEventsDuty } from '../../scheduler/duties/drop-events.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { dutyDeps, endingOf, submitTask } from '../support/tasks.ts';

const KB = 1_000;

describe('the duty drop-events', () => {
  let t: EdgeFixture;
  let n = 0;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());
  beforeEach(() => t.connection.db('tasks').delete());

  const drop = async (maxUserEventMemory: number, maxEventMemory = 100_000 * KB): Promise<number> => {
    const deps = dutyDeps(t);
    const config = { ...deps.config, maxUserEventMemory, maxEventMemory };
    return await createDropEventsDuty({ ...deps, config }).run(new AbortController().signal);
  };
  const streamOf = ({ poolName, id }: TaskRow): string => t.deps.queue.keys.pool(poolName).task(id).stream;
  /** A streamed task of which so much was said, in ten events. */
  const running = async (ownerId: string, bytes = 100 * KB): Promise<TaskRow> => {
    const row = await submitTask(t, { ownerId, streaming: true });
    for (let seq = 1; seq <= 10; seq++)
      await t.deps.queue.redis.xadd(streamOf(row), `1-${String(seq)}`, 'd', 'x'.repeat(bytes / 10));
    return row;
  };
  /** The same, ended a minute ago, each a little later than the one before. */
  const ended = async (ownerId = t.ada.id): Promise<TaskRow> => {
    const row = await running(ownerId);
    const ending = endingOf({ kind: 'completed', status: 200, body: '{}' });
    const endedAt = new Date(Date.now() - 60_000 + 1_000 * ++n);
    await t.registry.tasks.settle(row.id, { ...ending, endedAt });
    return row;
  };
  const several = async (count: number, ownerId = t.ada.id): Promise<TaskRow[]> => {
    const rows: TaskRow[] = [];
    for (let i = 0; i < count; i++) rows.push(await ended(ownerId));
    return rows;
  };
  /** Which of their streams stay: the others go within seconds, when who reads them just now has them. */
  const stay = (rows: readonly TaskRow[]): Promise<boolean[]> =>
    Promise.all(
      rows.map(async (row) => {
        const left = await t.deps.queue.redis.pttl(streamOf(row));
        return left === -1 || left > 10_000;
      }),
    );

  it("forgets the events of a user's oldest ended tasks over the cap, and nobody else's", async () => {
    const others = await several(2, t.bob.id); // older than all of ada's
    const flood = await several(5);
    const removed: number[] = [];
    const off = t.bus.on('scheduler.removed', ({ kind, count }) => {
      if (kind === 'events') removed.push(count);
    });
    expect(await drop(250 * KB)).to.equal(3);
    off();
    expect(removed).to.deep.equal([3]);
    expect(await stay(flood)).to.deep.equal([false, false, false, true, true]);
    expect(await stay(others)).to.deep.equal([true, true]);
    await t.deps.queue.redis.del(...flood.slice(0, 3).map(streamOf)); // as after those seconds
    expect(await drop(250 * KB), 'again').to.equal(0);
    const [first] = flood;
    const resumed = await t.call(`GET /api/v1/tasks/${first?.id ?? ''}/stream`);
    expect(resumed.status).to.equal(410);
    expect((await t.registry.tasks.byId(first?.id ?? ''))?.status).to.equal('completed');
  });

  it('in all, those who have most lose theirs, and who has little nothing', async () => {
    const much = await several(6);
    const little = await several(1, t.bob.id);
    expect(await drop(10_000 * KB, 450 * KB)).to.equal(3);
    expect(await stay(much)).to.deep.equal([false, false, false, true, true, true]);
    expect(await stay(little)).to.deep.equal([true]);
  });

  it('where ended ones are not enough, halves what runs; what came last stays', async () => {
    const runs = await running(t.ada.id, 400 * KB);
    const over = await ended();
    await drop(300 * KB);
    expect(await stay([over])).to.deep.equal([false]);
    const left = await t.deps.queue.redis.xrange(streamOf(runs), '-', '+');
    expect(left.map(([id]) => id)).to.deep.equal(['1-6', '1-7', '1-8', '1-9', '1-10']);
  });

  it('weighs nothing while all of Redis holds less than the caps', async () => {
    const rows = await several(3);
    expect(await drop(1e15, 1e15)).to.equal(0);
    expect(await stay(rows)).to.deep.equal([true, true, true]);
  });
});
