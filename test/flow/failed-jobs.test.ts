import { expect } from 'chai';
import type { Job } from 'bullmq';
import { closeTask } from '../../core/flow/end/cancel.ts';
import { createFetcher, KEPT_JOBS, type JobData } from '../../core/queue/jobs/jobs.ts';
import { flowOf } from '../../edge/deps.ts';
import { createClearJobsDuty } from '../../scheduler/duties/clear-jobs.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { dutyDeps, submitTask } from '../support/tasks.ts';

/** docs/spec.md §10: a terminal error fails the job with its catalogue code, whoever decides that it is one. */
describe('the job of a task that ends with an error', () => {
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await t.registry.sessions.register(t.publication(t.ada, [t.offer('p')]));
  });
  after(() => t.close());

  const late = {
    mode: 'expire',
    status: 'error',
    code: 'queue_timeout',
    message: 'Nobody took it.',
  } as const;
  const queueOf = () => t.deps.queue.queueOf(t.deps.queue.keys.pool('p').queue());
  const jobOf = (id: string): Promise<Job<JobData> | undefined> => queueOf().getJob(`${id}-1`);
  const shown = async (id: string): Promise<unknown[]> => {
    const job = await jobOf(id);
    return [await job?.getState(), job?.failedReason, job?.stacktrace];
  };

  it('shows as failed with the code, when nobody took it in time', async () => {
    for (const priority of ['interactive', 'background'] as const) {
      const row = await submitTask(t, { priority });
      await closeTask(flowOf(t.deps), row, late);
      expect(await shown(row.id), priority).to.deep.equal(['failed', 'queue_timeout', []]);
      const at = (await jobOf(row.id))?.finishedOn ?? 0;
      expect(Math.abs(Date.now() - at)).to.be.below(60_000);
    }
    expect(await queueOf().getJobCounts('waiting', 'prioritized', 'active')).to.deep.equal({
      waiting: 0,
      prioritized: 0,
      active: 0,
    });
  });

  it('is gone when the task was cancelled, also when it expires a moment later', async () => {
    const row = await submitTask(t);
    await t.registry.tasks.close(row.id, { status: 'cancelled', code: 'task_cancelled', message: 'gone' });
    await closeTask(flowOf(t.deps), row, late);
    expect(await jobOf(row.id)).to.equal(undefined);
  });

  it('shows as failed when a worker died with it', async () => {
    const row = await submitTask(t);
    const { redis, keys } = t.deps.queue;
    const fetcher = createFetcher(redis, { prefix: keys.namespace, name: keys.pool('p').queue() });
    const job = await fetcher.getNextJob('a dead worker', { block: false });
    expect(job?.data.T).to.equal(row.id);
    await t.registry.tasks.close(row.id, { status: 'error', code: 'worker_lost', message: 'It died.' });
    const duty = createClearJobsDuty(dutyDeps(t));
    for (const did of [0, 1, 0]) expect(await duty.run(new AbortController().signal)).to.equal(did);
    expect(await shown(row.id)).to.deep.equal(['failed', 'worker_lost', []]);
    // The dead worker was not dead: its own farewell changes nothing.
    await job?.moveToCompleted(null, 'a dead worker', false).catch(() => undefined);
    expect((await shown(row.id)).slice(0, 2)).to.deep.equal(['failed', 'worker_lost']);
    await fetcher.close(true);
  });

  it('is kept with the newest few', async () => {
    const rows = await Promise.all(Array.from({ length: KEPT_JOBS + 3 }, () => submitTask(t)));
    for (const row of rows) await closeTask(flowOf(t.deps), row, late);
    expect(await queueOf().getFailedCount()).to.equal(KEPT_JOBS);
    const { redis, keys } = t.deps.queue;
    const all = await redis.keys(`${keys.namespace}:${keys.pool('p').queue()}:*-1`);
    expect(all).to.have.length(KEPT_JOBS);
    expect(all.join())
      .to.include(rows.at(-1)?.id ?? '?')
      .and.not.include(rows[0]?.id ?? '?');
  });
});
