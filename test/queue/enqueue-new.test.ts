import { expect } from 'chai';
import type { Submission } from '../../core/queue/task/submission.ts';
import { startOwnRedis } from '../support/own-redis.ts';
import { newTask, submissionOf } from '../support/tasks.ts';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';

describe('a new task, enqueued in one round trip', function () {
  this.timeout(30_000);
  let t: QueueFixture;
  before(async () => {
    t = await queueFixture();
  });
  after(() => t.close());

  const made = (poolKey: string): Submission => submissionOf(newTask({ ownerId: '', poolKey }));
  const queueOf = (task: Submission): string => t.door.keys.pool(task.poolKey).queue();
  const take = async (task: Submission, from: QueueFixture = t) => {
    const job = await from.fetchers.next([queueOf(task)]);
    const claimed = await from.claim(task);
    await job?.complete();
    return { taskId: job?.taskId, claimed };
  };

  it('is there for a member, once', async () => {
    const task = made('one');
    await t.door.dispatch.enqueueNew(task);
    expect(await take(task)).to.deep.include({ taskId: task.taskId });
    expect((await t.fetchers.next([queueOf(task)]))?.taskId).to.equal(undefined);
  });

  it('has its fence before anybody finds its job, however many come at once', async () => {
    const tasks = Array.from({ length: 50 }, () => made('many'));
    let left = tasks.length;
    const claims: unknown[] = [];
    const taking = (async () => {
      while (left > 0) {
        const job = await t.fetchers.next([queueOf(tasks[0] as Submission)]);
        if (!job) continue;
        left -= 1;
        claims.push(await t.claim({ ...(tasks[0] as Submission), taskId: job.taskId }));
        await job.complete();
      }
    })();
    await Promise.all(tasks.map((task) => t.door.dispatch.enqueueNew(task)));
    await taking;
    expect(claims.filter((claimed) => typeof claimed === 'string')).to.deep.equal([]);
  });

  it('is enqueued once more when Redis had forgotten its scripts, and its job was taken in vain', async () => {
    const task = made('forgotten');
    // What others run in the shared one would be forgotten with it.
    const server = await startOwnRedis();
    const own = await queueFixture(server.url);
    try {
      await own.redis.script('FLUSH');
      await own.door.queueOf(queueOf(task)).add('infer', { T: task.taskId }, { jobId: `${task.taskId}-1` });
      expect(await take(task, own)).to.deep.equal({ taskId: task.taskId, claimed: 'absent' });
      await own.door.dispatch.enqueueNew(task);
      const { taskId, claimed } = await take(task, own);
      expect(taskId).to.equal(task.taskId);
      expect(claimed).to.deep.include({ epoch: 1, body: task.body });
    } finally {
      await own.close();
      await server.close();
    }
  });
});
