import { expect } from 'chai';
import { edgeFixture, type EdgeFixture, publicLlm } from '../support/edge.ts';
import { endingOf } from '../support/tasks.ts';

const messages = [{ role: 'user', content: 'hi' }];

/** What another process settled, and Redis lost since. */
const ending = endingOf({ kind: 'completed', status: 200, body: '{"choices":[],"model":"x"}' });

describe('a caller whose stream says nothing of the end', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture({ MCPCTL_KEEPALIVE_MS: '100', MCPCTL_ADMISSION_MS: '100' });
    await publicLlm(t, 'gpt');
  });
  after(() => t.close());

  /** A call under way: it waits for a member that never comes. */
  const waiting = async (stream: boolean) => {
    const accepted = new Promise<string>((resolve) => {
      const forget = t.bus.on('task.accepted', ({ taskId }) => {
        forget();
        resolve(taskId);
      });
    });
    const headers = { prefer: 'wait=60' };
    const calling = t.call('POST /api/v1/llms/gpt/infer', { body: { messages, stream }, headers });
    return { id: await accepted, calling };
  };

  it('gets the answer from the row', async () => {
    const { id, calling } = await waiting(false);
    await t.registry.tasks.settle(id, ending);
    const answer = await calling;
    expect(answer.status).to.equal(200);
    expect(answer.json).to.deep.equal({ choices: [], model: 'gpt' });
  });

  it('gets the error from the row', async () => {
    const { id, calling } = await waiting(false);
    const how = { status: 'error', code: 'worker_lost', message: 'It was lost.' } as const;
    await t.registry.tasks.close(id, how);
    expect((await calling).json).to.include({ code: 'worker_lost', error: 'It was lost.' });
  });

  it('is told that a streamed answer is not kept: never success, never nothing', async () => {
    const { id, calling } = await waiting(true);
    await t.registry.tasks.settle(id, ending);
    const { text } = await calling;
    expect(text).to.include('"code":"gone"').and.not.include('[DONE]');
  });

  it('is told what the row says when the task is closed after it had completed', async () => {
    const { id, calling } = await waiting(false);
    await t.registry.tasks.settle(id, ending);
    const cancelled = { kind: 'cancelled', code: 'task_cancelled', message: 'Too late.' } as const;
    await t.deps.queue.dispatch.close({ taskId: id, poolKey: 'gpt' }, 'cancel', cancelled);
    expect((await calling).status).to.equal(200);
  });
});

describe('a caller who waits too long for a task that another process has completed', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture({ MCPCTL_QUEUE_SYNC_MS: '1000' });
  });
  after(() => t.close());

  it('gets the answer, not the timeout', async () => {
    await publicLlm(t, 'gpt');
    t.bus.on('task.accepted', ({ taskId }) => void t.registry.tasks.settle(taskId, ending));
    const headers = { prefer: 'wait=60' };
    const answer = await t.call('POST /api/v1/llms/gpt/infer', { body: { messages }, headers });
    expect(answer.status).to.equal(200);
  });
});
