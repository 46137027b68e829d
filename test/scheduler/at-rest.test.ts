import { expect } from 'chai';
import { v7 } from 'uuid';
import { claimTask, handBack, isRefusal } from '../../core/queue/task/claim.ts';
import { createFetcher } from '../../core/queue/jobs/jobs.ts';
import { notAtRest } from '../../core/queue/jobs/look.ts';
import { poolsWithAny } from '../../core/queue/pool-indexes.ts';
import { jobIdOf, type Submission } from '../../core/queue/task/submission.ts';
import { OpenPools } from '../../scheduler/open-pools.ts';
import { createClearJobsDuty } from '../../scheduler/duties/clear-jobs.ts';
import { openHouse, SESSION, type House } from '../model/histories/house.ts';
import { newTask, submissionOf } from '../support/tasks.ts';
import type { NewTask } from '../../core/registry/tasks/insert-tasks.ts';

const signal = new AbortController().signal;

describe('what much at rest costs', function () {
  this.timeout(30_000);
  let t: House;
  before(async () => {
    t = await openHouse();
  });
  beforeEach(async () => {
    await t.connection.db('tasks').delete();
    await t.loseRedis();
    await t.present();
  });
  after(() => t.end());

  const taskIn = (poolKey: string, more: Partial<NewTask> = {}): NewTask =>
    newTask({ source: 'async', priority: 'background', poolKey, ownerId: t.ada.id, ...more });
  const lay = async (tasks: readonly NewTask[]): Promise<Submission[]> => {
    await Promise.all(tasks.map((task) => t.registry.tasks.insert(task)));
    const laying = tasks.map((task) => submissionOf(task));
    const answers = await t.queue.dispatch.enqueueMany(
      laying.map((submission) => ({ submission, seen: null })),
    );
    expect(answers).to.deep.equal(tasks.map(() => true));
    return laying;
  };
  const claim = (one: Submission) =>
    claimTask(
      t.queue,
      { taskId: one.taskId, poolKey: one.poolKey, jobId: jobIdOf(one) },
      { claimId: `claim of ${one.taskId}`, session: SESSION, boot: 'b1', llmId: t.members[0] ?? '' },
    );
  const take = async (
    poolKey: string,
    count: number,
  ): Promise<{ T: string; priority: number | undefined }[]> => {
    const { redis, keys } = t.queue;
    const fetcher = createFetcher(redis, { prefix: keys.namespace, name: keys.pool(poolKey).queue() });
    const taken = [];
    for (let n = 0; n < count; n++) {
      const job = await fetcher.getNextJob(`token ${String(n)}`, { block: false });
      if (job) taken.push({ T: job.data.T, priority: job.opts.priority });
    }
    await fetcher.close(true);
    return taken;
  };

  it('jobs that are laid down together are given out as BullMQ gives out its own, each owner in turn, once', async () => {
    const [ada, bob] = [t.ada.id, t.bob.id];
    const tasks = [ada, ada, ada, bob].map((ownerId) => taskIn('many', { ownerId }));
    const now = [ada, bob].map((ownerId) => taskIn('many', { ownerId, priority: 'interactive' }));
    const laying = await lay([...tasks, ...now]);
    const again = await t.queue.dispatch.enqueueMany(
      laying.map((submission) => ({ submission, seen: null })),
    );
    expect(again, 'a second time').to.deep.equal([true, true, true, true, true, true]);
    const taken = await take('many', 7);
    const order = [...now, ...[0, 3, 1, 2].map((n) => tasks[n])];
    expect(taken.map(({ T }) => T)).to.deep.equal(order.map((task) => task?.id));
    expect(taken.slice(2).map(({ priority }) => priority)).to.deep.equal([10, 10, 10, 10]);
  });

  it('a job whose task was closed, or claimed, before it came is not added', async () => {
    const [task] = await lay([taskIn('over')]);
    if (!task) return expect.fail();
    await take('over', 1);
    expect(isRefusal(await claim(task))).to.equal(false);
    const { redis, keys } = t.queue;
    await redis.del(`${keys.namespace}:${keys.pool('over').queue()}:${jobIdOf(task)}`);
    await t.queue.dispatch.enqueueMany([{ submission: task, seen: null }]);
    expect(await take('over', 1)).to.deep.equal([]);
  });

  it('tells those that need something from those that wait or run', async () => {
    const { redis, keys } = t.queue;
    const ways = [
      'waits',
      'runs',
      'released',
      'behind',
      'no fence',
      'no job',
      'unlisted',
      'closed',
      'spoilt',
    ] as const;
    const laid = await lay(ways.map((way) => taskIn(`pool of ${way}`)));
    const of = new Map(ways.map((way, n) => [way, laid[n]]));
    const one = (way: (typeof ways)[number]): Submission => of.get(way) ?? expect.fail(way);
    const keysOf = (way: (typeof ways)[number]) => keys.pool(one(way).poolKey).task(one(way).taskId);
    for (const way of ['runs', 'released', 'unlisted'] as const) await claim(one(way));
    const { taskId, poolKey, epoch } = one('released');
    const why = { counts: 'none', code: 'backend_error', message: 'It broke.' } as const;
    await handBack(t.queue, { taskId, poolKey, epoch, claimId: `claim of ${taskId}` }, why);
    await redis.del(keysOf('no fence').fence);
    await redis.del(
      `${keys.namespace}:${keys.pool(one('no job').poolKey).queue()}:${jobIdOf(one('no job'))}`,
    );
    await redis.zrem(keys.pool(one('unlisted').poolKey).run, one('unlisted').taskId);
    await redis.hset(keysOf('closed').fence, 'state', 'closed');
    await redis.set(keysOf('spoilt').fence, 'a text');
    const asked = laid.map((each) => ({ ...each, pin: null, epoch: each === one('behind') ? 2 : 1 }));
    const odd = await notAtRest(redis, keys, asked);
    expect(odd.map((each) => each.poolKey)).to.deep.equal(ways.slice(2).map((way) => `pool of ${way}`));
  });

  it('of many pools those with something to do are found, and one that has just got a task', async () => {
    const pools = Array.from({ length: 120 }, (_, n) => `p${String(n).padStart(3, '0')}`);
    const msecs = Date.now() - 60_000;
    const laid = await lay(pools.map((key) => taskIn(key, { id: v7({ msecs }) })));
    let now = 0;
    const open = new OpenPools({ ...t.tools, clock: { ...t.dutyDeps(t.tools).clock, elapsed: () => now } });
    expect(await open.list()).to.deep.equal(pools);
    expect(await open.busy()).to.deep.equal([]);
    const running = laid[77];
    if (running) await claim(running);
    const [another] = await lay([taskIn('another')]);
    now = 1_500;
    expect(await open.list()).to.deep.equal([...pools, 'another']);
    expect(await open.busy(), 'nothing had happened there').to.deep.equal([]);
    now = 10_500;
    expect(await open.busy())
      .to.include('p077')
      .and.to.have.length.lessThan(60);
    now = 11_500;
    expect(await open.busy(), 'by itself').to.deep.equal(['p077']);
    if (another) await claim(another);
    now = 12_500;
    expect(await open.busy(), 'had got a task').to.have.members(['p077', 'another']);
    expect(await poolsWithAny(t.queue, pools, { indexes: ['ended'], together: 50 })).to.deep.equal([]);
  });

  it('jobs of tasks that are over are found however many queues there are, some at each turn', async () => {
    const pools = Array.from({ length: 230 }, (_, n) => `q${String(n).padStart(3, '0')}`);
    const laid = await lay(pools.map((key) => taskIn(key)));
    await lay(pools.map((key) => taskIn(key)));
    const over = laid.filter((_, n) => n % 75 === 0);
    for (const { taskId } of over)
      await t.registry.tasks.close(taskId, { status: 'cancelled', code: 'task_cancelled', message: 'Gone.' });
    const duty = createClearJobsDuty(t.dutyDeps(t.tools));
    let did = 0;
    for (let turn = 0; turn < 4; turn++) did += await duty.run(signal);
    expect(did).to.equal(over.length);
  });
});
