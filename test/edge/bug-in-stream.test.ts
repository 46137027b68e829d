import { expect } from 'chai';
import type { Ending } from '../../core/task/outcome.ts';
import type { TaskView } from '../../core/task/task.ts';
import { SseWorker, type Stream } from '../relay/sse-worker.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';

/** What nobody foresees, in the middle of an answer: its frames are out, so only the log can say what it was. */
describe('a bug in the middle of an answer', () => {
  let t: EdgeFixture;
  let worker: SseWorker;
  let stream: Stream;
  const logged: Record<string, unknown>[] = [];
  before(async () => {
    t = await edgeFixture({ MCPCTL_KEEPALIVE_MS: '50', MCPCTL_ADMISSION_MS: '50' });
    worker = new SseWorker({ url: t.url, token: t.tokens.ada });
    await worker.register([{ name: 'm', maxConcurrency: 8 }]);
    stream = await worker.open();
    t.deps.log.error = (line: unknown) => void logged.push(line as Record<string, unknown>);
    const { tasks } = t.deps.registry;
    tasks.settle = (_id: string, _ending: Ending) => Promise.reject(new RangeError('nobody foresaw it'));
  });
  beforeEach(() => void logged.splice(0));
  after(async () => {
    await worker.goodbye();
    worker.kill();
    await t.close();
  });

  const messages = [{ role: 'user', content: 'hi' }];
  const event = '{"choices":[{"delta":{"content":"one"},"finish_reason":"stop"}]}';
  const isLogged = (headers: Headers, taskId: string): void => {
    const [line, ...more] = logged;
    expect(more).to.deep.equal([]);
    expect(line).to.include({ reqId: headers.get('x-request-id') });
    if ('taskId' in (line ?? {})) expect(line).to.include({ taskId });
    expect(line?.['err']).to.be.instanceOf(RangeError);
  };

  for (const [what, door] of [
    ['a streamed call', 'POST /api/v1/llms/m/infer'],
    ['a streamed call of OpenAI’s door', 'POST /v1/chat/completions'],
  ] as const)
    it(`of ${what} is logged with its request`, async () => {
      const answering = t.call(door, { body: { model: 'm', stream: true, messages } });
      const frame = await stream.next('infer');
      await worker.serve(frame, [event], { finishReason: 'stop' });
      const answer = await answering;
      expect(answer.text).to.include('one').and.include('internal').and.not.include('[DONE]');
      expect(answer.text).to.not.include('foresaw');
      isLogged(answer.headers, frame.taskId);
    });

  it('of a whole call whose status is out is logged with its request', async () => {
    const answering = t.call('POST /v1/chat/completions', { body: { model: 'm', messages } });
    const frame = await stream.next('infer');
    const uplink = worker.uplink(frame).beating();
    await new Promise((resolve) => setTimeout(resolve, 200)); // its blanks are what keeps it alive
    uplink.line({ end: { status: 200, body: '{"choices":[]}' } });
    await uplink.end();
    const answer = await answering;
    expect(answer.text).to.include('internal').and.not.include('foresaw');
    isLogged(answer.headers, frame.taskId);
  });

  it('of who looks on at a task is logged with their request', async () => {
    const request = { model: 'm', stream: true, messages };
    const made = await t.call('POST /api/v1/tasks', { body: { llm: 'm', request } });
    const { id } = made.json as TaskView;
    const looking = t.call(`GET /api/v1/tasks/${id}/stream`);
    await worker.serve(await stream.next('infer'), [event], { finishReason: 'stop' });
    const answer = await looking;
    expect(answer.text).to.include('one').and.include('internal');
    isLogged(answer.headers, id);
  });
});
