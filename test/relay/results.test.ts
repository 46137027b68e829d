import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { readFences } from '../../core/queue/task/fence.ts';
import { edgeFixture, type Answer, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';
import { SseWorker, type Stream } from './sse-worker.ts';

const whole =
  '{"id":"c","object":"chat.completion","big":12345678901234567890,"choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}';
const chunk = (content: string, finish: string | null = null): string =>
  JSON.stringify({
    id: 'c',
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta: { content }, finish_reason: finish }],
  });

describe('single results of a worker that knows neither claims nor numbers', () => {
  let t: EdgeFixture;
  let worker: SseWorker;
  let stream: Stream;
  before(async () => {
    t = await edgeFixture();
    worker = new SseWorker({ url: t.url, token: t.tokens.ada, instance: null });
    await worker.register([{ name: 'o', maxConcurrency: 20 }], { workerVersion: undefined });
    stream = await worker.open();
  });
  after(async () => {
    worker.kill();
    await t.close();
  });

  const sent = new Set<string>();
  const infer = async (more: object = {}): Promise<{ taskId: string; answer: Promise<Answer> }> => {
    const body = { messages: [{ role: 'user', content: 'hi' }], ...more };
    const answer = t.call('POST /api/v1/llms/o/infer', { body });
    let { taskId } = await stream.next('infer');
    // What was sent and not heard to have come is sent again.
    while (sent.has(taskId)) ({ taskId } = await stream.next('infer'));
    sent.add(taskId);
    return { taskId, answer };
  };

  it('a whole answer, byte for byte', async () => {
    const { taskId, answer } = await infer();
    // Not by `result`: its JSON.stringify would round the number.
    const posted = await t.call(`POST /api/v1/llms/_provider-task/${taskId}/result`, {
      raw: `{"status":200,"body":${whole}}`,
    });
    expect(posted.status).to.equal(200);
    const { status, text } = await answer;
    expect(status).to.equal(200);
    expect(text).to.include('"big":12345678901234567890');
    expect(await t.registry.tasks.byId(taskId)).to.deep.include({
      finishReason: 'stop',
      usage: { promptTokens: 1, completionTokens: 2, totalTokens: 3 },
    });
    // Said twice it is said once.
    expect((await worker.result(taskId, { status: 200, body: {} })).status).to.equal(200);
  });

  it('a whole answer to a caller who is shown events', async () => {
    const { taskId, answer } = await infer({ stream: true });
    await worker.result(taskId, { status: 200, body: whole });
    const { text } = await answer;
    expect(text).to.include('"content":"hello"').and.include('[DONE]').and.not.include('"message"');
  });

  it('pieces, in the order in which they come, with and without numbers', async () => {
    const { taskId, answer } = await infer({ stream: true });
    await worker.result(taskId, { chunk: { data: chunk('a') } });
    await worker.result(taskId, { chunk: { data: chunk('b') }, seq: 2 });
    await worker.result(taskId, { chunk: { data: chunk('b') }, seq: 2 });
    await worker.result(taskId, { chunk: { data: chunk('c', 'stop') } });
    expect((await worker.result(taskId, { chunk: { data: '[DONE]', done: true } })).status).to.equal(200);
    const { text } = await answer;
    expect([...text.matchAll(/"content":"(.)"/g)].map((match) => match[1])).to.deep.equal(['a', 'b', 'c']);
    expect((await t.registry.tasks.byId(taskId))?.finishReason).to.equal('stop');
  });

  it('an end that the backend has said without a reason', async () => {
    const { taskId, answer } = await infer({ stream: true });
    await worker.result(taskId, { chunk: { data: chunk('a') } });
    await worker.result(taskId, { chunk: { data: '[DONE] ' } });
    expect((await answer).text)
      .to.include('"finish_reason":"stop"')
      .and.include('[DONE]');
    const calls = await infer({ stream: true });
    const piece = { choices: [{ index: 0, message: { tool_calls: [{ id: 'c' }] }, finish_reason: 'stop' }] };
    await worker.result(calls.taskId, { status: 200, body: piece });
    expect((await calls.answer).text).to.include('"finish_reason":"tool_calls"');
  });

  it('no happy end where the backend gave none', async () => {
    const { taskId, answer } = await infer({ stream: true });
    await worker.result(taskId, { chunk: { data: chunk('a') } });
    const fence = async () =>
      (await readFences(t.deps.queue.redis, t.deps.queue.keys, [{ taskId, poolKey: 'o' }]))[0];
    await until(fence, (f) => f?.shown !== undefined && f.shown !== '');
    await worker.result(taskId, { chunk: { data: '', done: true } });
    expect((await answer).text).to.include('backend_incomplete');
  });

  const failures: Record<string, { result: object; status: number; code: string }> = {
    'a sentence': { result: { error: 'refused' }, status: 502, code: 'backend_error' },
    'a code': {
      result: { error: { code: 'backend_timeout', message: 'slow', retryable: true } },
      status: 504,
      code: 'backend_timeout',
    },
    "a backend's 4xx": {
      result: { status: 422, body: { error: { message: 'no' } } },
      status: 422,
      code: 'backend_rejected',
    },
    'a refused key': { result: { status: 401, body: {} }, status: 502, code: 'backend_auth_failed' },
    'an error in a 200': {
      result: { status: 200, body: { error: { message: 'no', code: 400 } } },
      status: 400,
      code: 'backend_rejected',
    },
    'a model that its owner has lost': {
      result: { status: 404, body: { error: { message: "The model 'm' does not exist" } } },
      status: 502,
      code: 'backend_misconfigured',
    },
    'an answer without choices': {
      result: { status: 200, body: { choices: [] } },
      status: 502,
      code: 'backend_error',
    },
    'a piece that is an error': {
      result: { chunk: { data: '{"error":{"message":"no","type":"invalid_request_error"}}' } },
      status: 400,
      code: 'backend_rejected',
    },
    'a 5xx': { result: { status: 500, body: 'oops' }, status: 502, code: 'backend_error' },
  };
  for (const [what, { result, status, code }] of Object.entries(failures)) {
    it(`a failure: ${what}`, async () => {
      const { taskId, answer } = await infer();
      expect((await worker.result(taskId, result)).status).to.equal(200);
      expect((await answer).status).to.equal(status);
      expect((await t.registry.tasks.byId(taskId))?.errorCode).to.equal(code);
    });
  }

  it('that another member may do better are given to it, though they cannot be taken back at once', async () => {
    const body = { messages: [{ role: 'user', content: 'hi' }] };
    const started = async (name: string): Promise<{ helper: SseWorker; frames: Stream }> => {
      const helper = new SseWorker({ url: t.url, token: t.tokens.ada });
      await helper.register([{ name, poolName: 'pair' }]);
      return { helper, frames: await helper.open() };
    };
    const failing = await started('pair1');
    const answer = t.call('POST /api/v1/llms/pair/infer', { body });
    const { taskId } = await failing.frames.next('infer');
    const other = await started('pair2');
    await until(
      async () => (await t.deps.presence.members('pair')).members,
      (members) => members.length === 2 && members.every(({ state }) => state === 'serving'),
    );
    // A sequence counts also what is undone.
    await t.connection.db.raw(
      `create sequence tries;
       create function once() returns trigger language plpgsql as
         $$ begin if nextval('tries') = 1 then raise 'not now'; end if; return new; end $$;
       create trigger once before update on tasks for each row when (old.id = '${taskId}') execute function once()`,
    );
    expect((await failing.helper.result(taskId, { error: 'refused' })).status).to.equal(200);
    const again = await other.frames.next('infer');
    expect(again.taskId).to.equal(taskId);
    await other.helper.serve(again, [], { body: whole });
    expect((await answer).status).to.equal(200);
    for (const { helper } of [failing, other]) {
      await helper.goodbye();
      helper.kill();
    }
  });

  it('are refused for a stale claim, a stranger, an id that is not there, and a shape that is none', async () => {
    const { taskId, answer } = await infer();
    const body = { status: 200, body: whole };
    expect((await worker.result(taskId, { ...body, claimId: randomUUID() })).status).to.equal(409);
    const stranger = new SseWorker({ url: t.url, token: t.tokens.bob });
    expect((await stranger.result(taskId, body)).status).to.equal(404);
    expect((await worker.result(randomUUID(), body)).status).to.equal(404);
    expect((await worker.result('*', body)).status).to.equal(404);
    expect((await worker.result(taskId, {})).status).to.equal(400);
    expect((await worker.result(taskId, { chunk: { data: 7 } })).status).to.equal(400);
    expect((await worker.result(taskId, { status: 'x' })).status).to.equal(400);
    await worker.result(taskId, body);
    expect((await answer).status).to.equal(200);
  });

  it('how a wake went: over any edge, once, and never a stranger’s word', async () => {
    const sleeper = new SseWorker({ url: t.url, token: t.tokens.ada });
    await sleeper.register([{ name: 'z', initialStatus: 'hibernating' }]);
    const control = await sleeper.open();
    const llmId = sleeper.llms[0]?.id ?? '';
    const answer = t.call('POST /api/v1/llms/z/infer', {
      body: { messages: [{ role: 'user', content: 'x' }] },
    });
    const frame = await control.next('wake');
    expect(frame).to.deep.include({ wakeId: llmId, llmName: 'z' });
    // What it said may have been lost.
    expect(await control.next('wake')).to.deep.equal(frame);
    const stranger = new SseWorker({ url: t.url, token: t.tokens.bob });
    expect((await stranger.result(llmId, { ok: true, ms: 1 })).status).to.equal(404);
    expect((await sleeper.result(llmId, { error: 'no power' })).status).to.equal(200);
    const answered = await answer;
    expect([answered.status, answered.text]).to.satisfy(
      ([status, text]: [number, string]) => status === 503 && text.includes('no power'),
    );
    control.cut();
    await until(
      () => sleeper.result(llmId, { ok: true, ms: 1 }),
      ({ status }) => status === 503,
    );
    await sleeper.goodbye();
    sleeper.kill();
  });
});
