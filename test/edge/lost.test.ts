import { expect } from 'chai';
import { McpctlError } from '../../core/errors.ts';
import { tagOf } from '../../core/queue/task/attempt.ts';
import { endLost } from '../../edge/inference/follow/lost.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { endingOf, submitTask } from '../support/tasks.ts';

/** What the run that came after it said. */
const another = endingOf({ kind: 'completed', status: 200, body: '{}' });

describe('an answer whose claim Redis has lost', () => {
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());

  it('ends its row by the word that its caller hears, though Redis is away again by then', async () => {
    const row = await submitTask(t, { poolKey: 'lost' });
    const { dispatch } = t.deps.queue;
    const close = dispatch.close.bind(dispatch);
    dispatch.close = () => Promise.reject(new McpctlError('unavailable'));
    const error = await endLost(t.deps, row);
    dispatch.close = close;
    expect(error).to.include({ code: 'worker_lost', taskId: row.id });
    expect(await t.registry.tasks.byId(row.id)).to.include({ status: 'error', errorCode: 'worker_lost' });
  });

  it('is not called failed where another run has completed the task', async () => {
    const row = await submitTask(t, { poolKey: 'lost' });
    await t.registry.tasks.settle(row.id, another);
    expect(await endLost(t.deps, row)).to.include({ code: 'gone', taskId: row.id });
    expect(await t.registry.tasks.byId(row.id)).to.include({ status: 'completed' });
  });

  it('is not called another where it is the one that has completed: its reader was slower than it is kept', async () => {
    const row = await submitTask(t, { poolKey: 'lost' });
    await t.registry.tasks.settle(row.id, another);
    const shown = { epoch: 1, tag: tagOf(another.claim) };
    const error = await endLost(t.deps, row, { shown });
    expect(error).to.include({ code: 'gone' });
    expect(error.message).to.not.include('another');
  });

  it('is not called failed where that run is over in Redis too', async () => {
    const row = await submitTask(t, { poolKey: 'lost' });
    await t.registry.tasks.settle(row.id, another);
    const { dispatch } = t.deps.queue;
    const close = dispatch.close.bind(dispatch);
    dispatch.close = () => Promise.resolve({ kind: 'ended' });
    const error = await endLost(t.deps, row);
    dispatch.close = close;
    expect(error).to.include({ code: 'gone', taskId: row.id });
  });

  it('is not called failed while neither store can be told: another run may complete it yet', async () => {
    const row = await submitTask(t, { poolKey: 'lost' });
    const { dispatch } = t.deps.queue;
    const close = dispatch.close.bind(dispatch);
    const closeRow = t.deps.registry.tasks.close.bind(t.deps.registry.tasks);
    dispatch.close = () => Promise.reject(new McpctlError('unavailable'));
    t.deps.registry.tasks.close = () => Promise.reject(new McpctlError('unavailable'));
    const error = await endLost(t.deps, row);
    dispatch.close = close;
    t.deps.registry.tasks.close = closeRow;
    expect(error).to.include({ code: 'unavailable', taskId: row.id });
  });
});
