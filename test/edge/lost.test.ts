import { expect } from 'chai';
import { McpctlError } from '../../core/errors.ts';
import { endLost } from '../../edge/inference/follow/lost.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { submitTask } from '../support/tasks.ts';

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
});
