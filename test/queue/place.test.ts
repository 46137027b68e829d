import { expect } from 'chai';
import { handBack } from '../../core/queue/task/claim.ts';
import { runScript } from '../../core/queue/scripts.ts';
import { jobIdOf, laying, type Submission } from '../../core/queue/task/submission.ts';
import { readFences } from '../../core/queue/task/fence.ts';
import { createFetcher } from '../../core/queue/jobs/jobs.ts';
import { placeOf, type Place } from '../../core/queue/task/place.ts';
import { newTask, submissionOf } from '../support/tasks.ts';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';

const leaving = { counts: 'none', code: 'shutting_down', message: 'test' } as const;

describe('the place of a task in its queue', () => {
  let t: QueueFixture;
  beforeEach(async () => {
    t = await queueFixture();
  });
  afterEach(() => t.close());
  const place = ({ taskId, poolKey, pin }: Submission): Promise<Place> =>
    placeOf(t.redis, t.door.keys, { taskId, poolKey, pin: pin ?? null });
  const positions = async (tasks: readonly Submission[]): Promise<(number | null)[]> =>
    (await Promise.all(tasks.map(place))).map(({ position }) => position);
  const taken = async (pin?: string): Promise<string> => {
    const { keys } = t.door;
    const name = keys.pool('p').queue(pin);
    const fetcher = createFetcher(t.redis, { prefix: keys.namespace, name });
    try {
      return (await fetcher.getNextJob('token', { block: false }))?.data.T ?? 'nothing';
    } finally {
      await fetcher.close(true);
    }
  };

  it('counts what is taken before it: interactive in order, then background', async () => {
    const later = await t.submitted({ priority: 'background' });
    const latest = await t.submitted({ priority: 'background' });
    const first = await t.submitted();
    const second = await t.submitted();
    const all = [first, second, later, latest];
    expect(await positions(all)).to.deep.equal([1, 2, 3, 4]);
    for (const [n, task] of all.entries()) {
      expect(await place(task)).to.deep.equal({ state: 'queued', position: 1 });
      expect(await taken()).to.equal(task.taskId);
      expect(await positions(all.slice(n + 1))).to.deep.equal(all.slice(n + 1).map((_, i) => i + 1));
    }
  });

  it('is that in the queue of the pinned member', async () => {
    await t.submitted();
    const [one, two] = [await t.submitted({ pin: 'm' }), await t.submitted({ pin: 'm' })];
    expect(await positions([one, two])).to.deep.equal([1, 2]);
    expect(await taken('m')).to.equal(one.taskId);
    expect(await positions([two])).to.deep.equal([1]);
  });

  it('is none once a member has it, and the first again when it was handed back and requeued', async () => {
    const [task, other] = [await t.submitted(), await t.submitted()];
    await taken();
    expect(await place(task)).to.deep.equal({ state: 'queued', position: null });
    await t.claim(task, 'c1');
    expect(await place(task)).to.deep.equal({ state: 'running', position: null });
    expect(await positions([other])).to.deep.equal([1]);
    await handBack({ redis: t.redis, keys: t.door.keys }, { ...task, claimId: 'c1' }, leaving);
    const [fence] = await readFences(t.redis, t.door.keys, [task]);
    await t.door.dispatch.requeue(task, { epoch: 1, claim: 'c1', job: fence?.job ?? '', newEpoch: 2 });
    expect(await positions([task, other])).to.deep.equal([1, 2]);
  });

  it('is not searched for behind the first thousand', async () => {
    // As an edge of an earlier release adds them: ours gives those beyond a thousand their turns at once.
    const lay = async (): Promise<Submission> => {
      const task = submissionOf(newTask({ ownerId: '', poolKey: 'p' }));
      const pool = t.door.keys.pool('p');
      const call = laying(t.door.keys, pool.turns('interactive'), { task });
      await runScript(t.door.redis, 'enqueue', call);
      await t.door.queueOf(pool.queue()).add('infer', { T: task.taskId }, { jobId: jobIdOf(task) });
      return task;
    };
    const all = await Promise.all(Array.from({ length: 1_002 }, lay));
    const places = (await positions(all)).filter((position) => position !== null);
    expect(places.sort((a, b) => a - b)).to.deep.equal(Array.from({ length: 1_000 }, (_, i) => i + 1));
  });
});
