import { expect } from 'chai';
import { beat, claimTask } from '../../core/queue/task/claim.ts';
import { createFetcher } from '../../core/queue/jobs/jobs.ts';
import { createClearJobsDuty } from '../../scheduler/duties/clear-jobs.ts';
import type { Duty } from '../../scheduler/duties/duty.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { dutyDeps, submitTask } from '../support/tasks.ts';

describe('the duty clear-jobs', () => {
  let t: EdgeFixture;
  let duty: Duty;
  const run = () => duty.run(new AbortController().signal);

  before(async () => {
    t = await edgeFixture();
    await t.registry.sessions.register(t.publication(t.ada, [t.offer('p')]));
    duty = createClearJobsDuty(dutyDeps(t));
  });
  after(() => t.close());

  const submit = async (): Promise<string> => (await submitTask(t)).id;
  const closeRow = (id: string) =>
    t.registry.tasks.close(id, { status: 'cancelled', code: 'task_cancelled', message: 'gone' });
  const standing = async (): Promise<string[]> => {
    const { redis, keys } = t.deps.queue;
    const prefix = `${keys.namespace}:${keys.pool('p').queue()}`;
    const lists = [
      redis.lrange(`${prefix}:wait`, 0, -1),
      redis.zrange(`${prefix}:prioritized`, '0', '-1'),
      redis.lrange(`${prefix}:active`, 0, -1),
    ];
    return (await Promise.all(lists)).flat().map((job) => job.slice(0, 36));
  };

  it('removes what waits, or is held by a worker that is dead, for a task that is over; the second time it sees it', async () => {
    const [taken, over, open] = [await submit(), await submit(), await submit()];
    const { redis, keys } = t.deps.queue;
    const fetcher = createFetcher(redis, { prefix: keys.namespace, name: keys.pool('p').queue() });
    const job = await fetcher.getNextJob('a dead worker', { block: false });
    expect(job?.data.T).to.equal(taken);
    for (const id of [taken, over]) await closeRow(id);
    expect(await run()).to.equal(0);
    expect(await standing()).to.have.members([taken, over, open]);
    expect(await run()).to.equal(2);
    expect(await standing()).to.deep.equal([open]);
    expect(await run()).to.equal(0);
    await fetcher.close(true);
  });

  it('tells a worker that runs what its caller was told is over, by the next beat', async () => {
    const id = await submit();
    const ref = { taskId: id, poolKey: 'p' };
    const by = { claimId: 'c1', session: 's', boot: 'b', llmId: 'l' };
    expect(await claimTask(t.deps.queue, { ...ref, jobId: `${id}-1` }, by)).to.include({ epoch: 1 });
    await closeRow(id);
    const beats = () => beat(t.deps.queue, { ...ref, claimId: 'c1', epoch: 1 });
    await run();
    expect(await beats()).to.equal(true);
    await run();
    expect(await beats()).to.equal(false);
  });
});
