import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { claimTask, endClaim } from '../../core/queue/task/claim.ts';
import { edgeFixture, type EdgeFixture, publicLlm } from '../support/edge.ts';

describe('DELETE of a task that has just ended', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await publicLlm(t, 'gpt');
  });
  after(() => t.close());

  it('says how it ended, though nobody had written that down yet', async () => {
    const request = { messages: [{ role: 'user', content: 'hi' }] };
    const made = await t.call('POST /api/v1/tasks', { body: { llm: 'gpt', request } });
    const taskId = (made.json as { id: string }).id;
    const ref = { taskId, poolKey: 'gpt' };
    const by = { claimId: randomUUID(), session: randomUUID(), boot: 'b', llmId: randomUUID() };
    await claimTask(t.deps.queue, { ...ref, jobId: `${taskId}-1` }, by);
    const redis = { ...t.deps.queue, eventKeepMs: 60_000 };
    await endClaim(redis, { ...ref, claimId: by.claimId }, { kind: 'completed', status: 200, body: '{}' });
    const answer = await t.call(`DELETE /api/v1/tasks/${taskId}`);
    expect(answer.json).to.include({ id: taskId, status: 'completed' });
  });
});
