import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { claimTask, endClaim } from '../../core/queue/task/claim.ts';
import { announce } from '../../core/queue/live/presence.ts';
import { pause } from '../../core/runtime/clock.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { everything } from '../../core/access.ts';

const body = (text: string) => JSON.stringify({ choices: [{ message: { content: text } }] });
const completed = (text: string) => ({ kind: 'completed', status: 200, body: body(text) }) as const;

describe('a whole answer', () => {
  let t: EdgeFixture;
  const sessionId = randomUUID();
  before(async () => {
    t = await edgeFixture();
    const { llms } = await t.registry.sessions.register(t.publication(t.ada, ['gpt'], { sessionId }));
    await t.deps.presence.hold(sessionId, 'b1');
    const announcement = { sessionId, boot: 'b1', slots: 1, running: 0, state: 'serving' } as const;
    const member = { poolKey: 'gpt', llmId: llms[0]?.id ?? '', announcement };
    await announce({ ...t.deps.queue, leaseMs: 60_000 }, member);
  });
  after(() => t.close());

  const accepted = async (): Promise<TaskRow> => {
    for (let n = 0; n < 500; n++) {
      const [row] = await t.registry.tasks.list({ scope: everything, statuses: ['pending'], limit: 1 });
      if (row) return row;
      await pause(10);
    }
    return expect.fail('no task');
  };

  /** A call whose task a member has claimed; `say` ends that claim. */
  const claimed = async () => {
    const answer = t.call('POST /api/v1/llms/gpt/infer', {
      body: { messages: [{ role: 'user', content: 'hi' }] },
    });
    const row = await accepted();
    const ref = { taskId: row.id, poolKey: row.poolName };
    const by = { claimId: randomUUID(), session: sessionId, boot: 'b1', llmId: randomUUID() };
    for (let n = 0; n < 500; n++) {
      if ((await claimTask(t.deps.queue, { ...ref, jobId: `${row.id}-1` }, by)) !== 'absent') break;
      await pause(10); // not enqueued yet
    }
    const deps = { ...t.deps.queue, eventKeepMs: 60_000 };
    return {
      answer,
      row,
      say: () => endClaim(deps, { ...ref, claimId: by.claimId }, completed('the second')),
    };
  };

  it('is that of the claim that the row was settled with: Redis was lost, and the task ran twice', async () => {
    const { answer, row, say } = await claimed();
    const ends = { claimedAt: null, firstEventAt: null, endedAt: null, streamedBytes: null };
    const none = { epoch: 1, session: '', llmId: '', ...ends };
    const outcome = completed('the first run');
    await t.registry.tasks.settle(row.id, { ...none, claim: randomUUID(), outcome });
    await say();
    const { status, text } = await answer;
    expect(text).to.include('the first run').and.not.include('the second');
    expect(status).to.equal(200);
  });

  it('is what the row says: a cancel had won, though the end came first to this edge', async () => {
    const { answer, row, say } = await claimed();
    await t.registry.tasks.close(row.id, { status: 'cancelled', code: 'task_cancelled', message: 'Gone.' });
    await say();
    expect((await answer).text)
      .to.include('task_cancelled')
      .and.not.include('the second');
  });
});
