import { randomUUID } from 'node:crypto';
import type { EventMap } from '../../core/task/events.ts';
import type { EdgeFixture } from './edge.ts';

/** Something of each kind happens at an edge, so that each of its metrics has a series. @returns what it then exports. */
export async function exercised(t: EdgeFixture): Promise<string> {
  const providers = [{ name: 'desk', type: 'openai', model: 'm' }];
  const body = { instanceId: randomUUID(), workerVersion: '1', transports: ['redis'], providers };
  await t.call('POST /api/v1/llms/_provider-register', { body });
  const request = { messages: [{ role: 'user', content: 'hi' }] };
  await t.call('POST /api/v1/tasks', { body: { llm: 'desk', request } });
  await t.call('GET /api/v1/llms', { token: 'mcpctl_nobodys' });
  t.deps.metrics.refused('user_tasks');
  t.deps.metrics.slowed('user_rate');
  const had = { member: 'desk', worker: 'w', tokensIn: 3, tokensOut: 5, queueMs: 10 };
  const finish = (event: Partial<EventMap['inference.finished']>): void =>
    t.bus.emit('inference.finished', {
      ...had,
      reqId: 'r',
      actor: 'ada',
      keyId: 'k',
      tokenName: 'test',
      llm: 'desk',
      kind: 'virtual',
      pool: 'desk',
      taskId: null,
      source: 'v1',
      status: 200,
      code: null,
      left: null,
      ttftMs: 20,
      durMs: 100,
      clientRetry: 1,
      ...event,
    });
  finish({});
  finish({ status: 502, code: 'backend_error' });
  finish({ status: 502, code: 'worker_lost' });
  finish({ status: 504, code: 'queue_timeout' });
  finish({ status: 503, code: 'unavailable' });
  finish({ status: 429, code: 'too_many_requests' });
  finish({ status: 499, code: 'task_cancelled', left: 'streaming' });
  t.bus.emit('loop.left', { loop: 'announce', left: 1, failed: 1, ended: 1 });
  t.bus.emit('task.settled', {
    ...had,
    taskId: 't',
    status: 'completed',
    code: null,
    by: 'edge',
    source: 'v1',
    keyId: 'k',
    llm: 'desk',
    pool: 'desk',
    durMs: 100,
  });
  return (await t.call('GET /metrics', { token: t.tokens.root })).text;
}
