import { expect } from 'chai';
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
});
