import { expect } from 'chai';
import type { Operation } from '../../core/llm.ts';
import { createOpenAiProvider } from '../../worker/providers/openai.ts';
import { callOf, readAll } from '../conformance/provider.ts';
import { messages } from '../support/anthropic.ts';
import { answers, sends, startBackend, type Backend, type Script } from '../support/backend.ts';

const event = (data: object, name?: string): string =>
  `${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`;
const usage = { input_tokens: 4, output_tokens: 2, total_tokens: 6 };
const counted = { promptTokens: 4, completionTokens: 2, totalTokens: 6 };

describe('each operation of an OpenAI-compatible backend', () => {
  let backend: Backend;
  beforeEach(async () => {
    backend = await startBackend();
  });
  afterEach(() => backend.close());

  const read = (operation: Operation, script: Script, streaming = true) => {
    backend.once(script);
    const provider = createOpenAiProvider({ name: 'x', url: backend.url });
    const body = `{"model":"test-model","stream":${String(streaming)}}`;
    return readAll(provider.forward?.(callOf({ operation, streaming, body })) ?? expect.fail());
  };

  it('responses end with the event that says so, however it ended', async () => {
    for (const status of ['completed', 'incomplete', 'cancelled', 'failed']) {
      const { events, last } = await read(
        'responses',
        sends(
          event({ type: 'response.created', response: { status: 'in_progress' } }, 'response.created'),
          event({ type: 'response.output_text.delta', delta: 'a' }, 'response.output_text.delta'),
          event(
            { type: `response.${status}`, response: { status, usage, error: null } },
            `response.${status}`,
          ),
        ),
      );
      expect(events).to.have.length(3);
      if (status === 'failed') expect(last).to.include({ kind: 'failed', code: 'backend_error' });
      else expect(last).to.deep.equal({ kind: 'end', status: 200, finishReason: status, usage: counted });
    }
  });

  it('responses and messages end there though their backend keeps the stream open', async () => {
    const open =
      (...types: string[]): Script =>
      ({ response }) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write(
          types
            .map((type) => event({ type, response: { status: 'completed', usage: { total_tokens: 1 } } }))
            .join(''),
        );
      };
    const messagesSay = open('message_start', 'message_stop');
    expect((await read('responses', open('response.completed'))).last).to.have.property('kind', 'end');
    expect((await read('messages', messagesSay)).last).to.have.property('kind', 'end');
  });

  it('responses and messages that only stop are unfinished', async () => {
    const created = event({ type: 'response.created', response: { status: 'in_progress' } });
    for (const sent of [created, created + event({ type: 'response.output_text.done' })]) {
      const { last } = await read('responses', sends(sent));
      expect(last).to.include({ code: 'backend_incomplete', retryable: true });
    }
    const cut = messages([{ type: 'text', pieces: ['a'] }], { cutAfter: 4 });
    expect((await read('messages', cut)).last).to.include({ code: 'backend_incomplete' });
  });

  it('an event that has its type in its name alone travels with it', async () => {
    const { events } = await read(
      'responses',
      sends(
        event({ sequence_number: 1 }, 'response.in_progress'),
        event({ type: 'response.completed', response: { usage: { total_tokens: 1 } } }, 'another'),
      ),
    );
    expect(events.map((data) => (JSON.parse(data) as { type: string }).type)).to.deep.equal([
      'response.in_progress',
      'response.completed',
    ]);
  });

  it('completions end with a finish_reason, and embeddings whole', async () => {
    const choice = (finish: string | null) => ({ choices: [{ index: 0, text: 'a', finish_reason: finish }] });
    const good = await read('completions', sends(event(choice(null)), event(choice('length'))));
    expect(good.last).to.include({ kind: 'end', finishReason: 'length' });
    const cut = await read('completions', sends(event(choice(null))));
    expect(cut.last).to.include({ code: 'backend_incomplete' });
    const vectors = {
      object: 'list',
      data: [{ embedding: [1] }],
      usage: { prompt_tokens: 3, total_tokens: 3 },
    };
    expect((await read('embeddings', answers(200, vectors), false)).last).to.deep.include({
      kind: 'end',
      usage: { promptTokens: 3, completionTokens: 0, totalTokens: 3 },
    });
  });

  it('is whole only with its own part, and its usage is read', async () => {
    const whole: [Operation, object, object][] = [
      [
        'completions',
        { choices: [{ finish_reason: 'stop' }], usage: { prompt_tokens: 4, completion_tokens: 2 } },
        { finishReason: 'stop', usage: counted },
      ],
      [
        'responses',
        { object: 'response', status: 'completed', error: null, output: [], usage },
        { finishReason: 'completed', usage: counted },
      ],
      [
        'messages',
        { type: 'message', content: [], stop_reason: 'max_tokens', usage },
        { finishReason: 'max_tokens', usage: counted },
      ],
    ];
    for (const [operation, body, ending] of whole) {
      const { last } = await read(operation, answers(200, body), false);
      expect(last, operation).to.deep.equal({
        kind: 'end',
        status: 200,
        body: JSON.stringify(body),
        ...ending,
      });
      const none = await read(operation, answers(200, { id: 'x' }), false);
      expect(none.last, operation).to.include({ kind: 'failed', code: 'backend_error' });
    }
  });

  it('asks for usage where that is known, and nowhere else', async () => {
    for (const operation of ['chat', 'completions', 'embeddings', 'responses', 'messages'] as const) {
      await read(operation, sends(''));
      const asks = operation === 'chat' || operation === 'completions';
      expect((await backend.next('request')).body.includes('stream_options'), operation).to.equal(asks);
    }
  });

  it('fails as an error in its stream says', async () => {
    const failsAs = (type: string) => sends(event({ type: 'error', error: { type, message: 'x' } }, 'error'));
    expect((await read('messages', failsAs('overloaded_error'))).last).to.include({
      status: 529,
      retryable: true,
    });
    expect((await read('messages', failsAs('rate_limit_error'))).last).to.include({
      code: 'too_many_requests',
    });
    expect((await read('messages', failsAs('invalid_request_error'))).last).to.include({
      code: 'backend_rejected',
      status: 400,
    });
    expect((await read('messages', failsAs('api_error'))).last).to.include({
      code: 'backend_error',
      retryable: true,
    });
    const flat = sends(event({ type: 'error', code: 'server_error', message: 'x' }, 'error'));
    expect((await read('responses', flat)).last).to.include({ code: 'backend_error' });
  });
});
