import { expect } from 'chai';
import { claimTask } from '../../core/queue/task/claim.ts';
import { requeueTask } from '../../core/flow/requeue.ts';
import { readFences } from '../../core/queue/task/fence.ts';
import { flowOf } from '../../edge/deps.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { submitTask } from '../support/tasks.ts';

const session = '00000000-0000-4000-8000-00000000000a';

describe('the body of a task', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());

  const inputOf = (id: string): string => t.deps.queue.keys.pool('p').task(id).input;
  const claim = (taskId: string, epoch: number) =>
    claimTask(
      t.deps.queue,
      { taskId, poolKey: 'p', jobId: `${taskId}-1` },
      { claimId: `c${String(epoch)}`, session, boot: 'b', llmId: 'l' },
    );
  const of = (bytes: number): string => `{"x":"${'ü'.repeat((bytes - 8) / 2)}"}`;

  it('of up to 256 KiB is in Redis; a larger one is not, and a member learns that it rests elsewhere', async () => {
    const small = await submitTask(t, { requestBody: of(256 * 1024) });
    const large = await submitTask(t, { requestBody: of(256 * 1024 + 2) });
    expect(await claim(small.id, 1)).to.deep.include({ body: of(256 * 1024) });
    expect(await t.deps.queue.redis.hget(inputOf(large.id), 'body')).to.equal(null);
    expect(await claim(large.id, 1)).to.deep.include({ epoch: 1, body: { bytes: 256 * 1024 + 2 } });
    const memory = Number(await t.deps.queue.redis.call('MEMORY', 'USAGE', inputOf(large.id)));
    expect(memory).to.be.lessThan(4_096);
  });

  it('comes into Redis after all when a worker took the job and could make nothing of it', async () => {
    const row = await submitTask(t, { requestBody: of(300_000) });
    const [fence] = await readFences(t.deps.queue.redis, t.deps.queue.keys, [
      { taskId: row.id, poolKey: 'p' },
    ]);
    if (!fence) return expect.fail('no fence');
    expect(await requeueTask(flowOf(t.deps), { row, fence })).to.equal('ok');
    expect(await claim(row.id, 2)).to.deep.include({ epoch: 2, body: of(300_000) });
    expect(await t.deps.queue.redis.pttl(inputOf(row.id))).to.be.greaterThan(0);
  });
});
