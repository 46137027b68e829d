import { expect } from 'chai';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';
import { SseWorker } from './sse-worker.ts';

const chunk = (content: string, finish: string | null = null): string =>
  JSON.stringify({
    id: 'c',
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta: { content }, finish_reason: finish }],
  });
const whole = JSON.stringify({
  id: 'c',
  object: 'chat.completion',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
});

describe('a worker of the sse transport', () => {
  let t: EdgeFixture;
  let worker: SseWorker;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());
  beforeEach(() => {
    worker = new SseWorker({ url: t.url, token: t.tokens.ada });
  });
  afterEach(async () => {
    await worker.goodbye();
    worker.kill();
  });

  const infer = (llm: string, body: object = {}) =>
    t.call(`POST /api/v1/llms/${llm}/infer`, {
      body: { messages: [{ role: 'user', content: 'hi' }], ...body },
    });

  it('gets a task as a frame and answers it over one request', async () => {
    await worker.register([{ name: 'one' }]);
    const stream = await worker.open();
    const answer = infer('one', { seed: 12345678901234567890n.toString() });
    const frame = await stream.next('infer');
    expect(frame).to.include({ kind: 'infer', llmName: 'one', operation: 'chat', streaming: false });
    expect(frame.request).to.include('"messages"');
    expect(await worker.serve(frame, [], { body: whole, finishReason: 'stop' })).to.deep.include({
      status: 200,
      json: { outcome: 'ended' },
    });
    const answered = await answer;
    expect(answered.status).to.equal(200);
    expect(answered.json).to.deep.equal({ ...(JSON.parse(whole) as object), model: 'one' });
  });

  it('streams each event as it comes', async () => {
    await worker.register([{ name: 'two' }]);
    const stream = await worker.open();
    const answer = infer('two', { stream: true });
    const frame = await stream.next('infer');
    expect(frame.streaming).to.equal(true);
    const uplink = worker.uplink(frame);
    uplink.line({ seq: 1, data: chunk('a') }, { beat: true });
    uplink.line({ seq: 2, data: chunk('b', 'stop') }, { end: { finishReason: 'stop' } });
    expect((await uplink.end()).status).to.equal(200);
    const { text } = await answer;
    expect(text).to.include('"a"').and.include('"b"').and.include('[DONE]');
    await until(
      async () => t.deps.relay.size,
      (n) => n === 1,
    );
  });
});
