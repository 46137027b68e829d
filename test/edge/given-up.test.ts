import { expect } from 'chai';
import { renewWaiting } from '../../core/flow/requeue.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { flowOf } from '../../edge/deps.ts';
import { refOf } from '../../core/flow/deps.ts';
import type { Target } from '../../edge/inference/ask/target.ts';
import { MakersDuties } from '../../edge/inference/follow/duties.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { submitTask } from '../support/tasks.ts';

const POOL = 'mcp.desk';

const target: Target = {
  ...{ poolKey: POOL, pin: null, pinned: null, agent: null, members: [], contextLength: null },
  ...{ unfit: [], spared: [], shorter: [], served: false, returning: false },
  ...{ translated: false, tellsEdges: false },
};

describe('a call that nobody took, given up by the edge of its caller', () => {
  let t: EdgeFixture;
  before(async () => (t = await edgeFixture()));
  after(() => t.close());

  const giveUp = (row: TaskRow): Promise<unknown> =>
    new MakersDuties(t.deps, { row, target, queueMs: 0, unservedMs: 0 })
      .act()
      .catch((thrown: { code: string }) => thrown.code);

  it('is one that may have run where Redis lost its last writes, and not given up before that is known', async () => {
    const { generation, fences } = t.deps.queue;
    await generation.trust(1);
    const untouched = await submitTask(t, { operation: 'mcp', poolKey: POOL });
    expect(await giveUp(untouched)).to.equal('queue_timeout');

    const call = await submitTask(t, { operation: 'mcp', poolKey: POOL });
    const chat = await submitTask(t, { poolKey: POOL });
    await t.deps.queue.redis.hset(t.deps.queue.keys.generation, 'run', 'another');
    expect([await giveUp(chat), await giveUp(call)]).to.deep.equal(['queue_timeout', null]);

    const [fence] = await fences.read([refOf(call)]);
    if (!fence) return expect.fail('no fence');
    expect(await renewWaiting(flowOf(t.deps), { row: call, fence })).to.equal(true);
    await generation.trust(2);
    expect(await giveUp(call)).to.equal('outcome_unknown');
    expect((await t.registry.tasks.byId(call.id))?.errorCode).to.equal('outcome_unknown');
  });
});
