import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { expect } from 'chai';
import { createUndecided } from '../../edge/believed/undecided.ts';
import { flowOf } from '../../edge/deps.ts';
import { McpctlError } from '../../core/errors.ts';
import { readFences } from '../../core/queue/task/fence.ts';
import { edgeFixture, publicLlm, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';

describe('a task whose commit was not answered', () => {
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await publicLlm(t, 'gpt');
    const { tasks } = t.deps.registry;
    const insert = tasks.insert.bind(tasks);
    tasks.insert = async (task) => {
      await insert(task);
      throw new McpctlError('unavailable');
    };
  });
  after(() => t.close());

  const request = { messages: [{ role: 'user', content: 'hi' }] };
  for (const [how, call] of [
    [
      'who waits',
      () => t.call('POST /api/v1/llms/gpt/infer', { body: request, headers: { prefer: 'wait=5' } }),
    ],
    ['who does not', () => t.call('POST /api/v1/tasks', { body: { llm: 'gpt', request } })],
  ] as const)
    it(`does not run behind the back of its caller, ${how}: it is told by its id, and closed`, async () => {
      const answer = await call();
      expect(answer.status).to.equal(503);
      const { taskId = '' } = answer.json as { taskId?: string };
      const row = await until(
        () => t.deps.registry.tasks.byId(taskId),
        (now) => now?.completedAt != null,
        5_000,
      );
      expect(row).to.include({ status: 'error', errorCode: 'unavailable' });
      const { redis, keys } = t.deps.queue;
      const [fence] = await readFences(redis, keys, [{ taskId, poolKey: row?.poolName ?? '' }]);
      expect(fence).to.include({ state: 'closed' });
    });

  it('is looked for no more once its edge has stopped, though Postgres was away until then', async () => {
    const flow = flowOf(t.deps);
    const answer = new EventEmitter();
    let calls = 0;
    const tasks = Object.assign(Object.create(flow.registry.tasks) as typeof flow.registry.tasks, {
      close: async () => {
        calls += 1;
        if (calls === 2 && answer.emit('looked')) await once(answer, 'away'); // the first is of the closing itself
        throw new McpctlError('unavailable');
      },
    });
    const undecided = createUndecided({
      ...t.deps,
      flow: { ...flow, registry: { ...flow.registry, tasks } },
    });
    const looked = once(answer, 'looked');
    undecided.close({ id: randomUUID(), poolName: 'gpt' });
    await looked;
    const over = undecided.stop();
    answer.emit('away');
    await over; // what goes on looking keeps this process alive, which fails the run
  });
});
