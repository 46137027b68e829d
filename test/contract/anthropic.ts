import Anthropic, { APIError } from '@anthropic-ai/sdk';
import { expect } from 'chai';
import { answers, type Backend } from '../support/backend.ts';
import { HURRIED_MS, thrownBy, user, type Door } from './door.ts';
import { after, dies, permitted, plays, words } from './scripts.ts';

const event = (json: { type: string }): string => `event: ${json.type}\ndata: ${JSON.stringify(json)}\n\n`;
const delta = (text: string): string =>
  event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } } as { type: string });
const message = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'tiny',
  content: [],
  stop_reason: null,
  stop_sequence: null,
  usage: { input_tokens: 3, output_tokens: 1 },
};
const begin = [
  event({ type: 'message_start', message } as { type: string }),
  event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } } as {
    type: string;
  }),
];
const end = [
  event({ type: 'content_block_stop', index: 0 } as { type: string }),
  event({
    type: 'message_delta',
    delta: { stop_reason: 'end_turn', stop_sequence: null },
    usage: { output_tokens: 4 },
  } as { type: string }),
  event({ type: 'message_stop' }),
];

/** `@anthropic-ai/sdk`, against a backend that speaks Messages itself (llama.cpp, vLLM, Ollama, LM Studio do). */
export function anthropicFacts(door: () => Door): void {
  describe('the @anthropic-ai/sdk package', () => {
    const model = 'claude-local';
    let backend: Backend;
    before(async () => {
      backend = await door().publishSpeaking(model, ['chat', 'messages']);
      await door().publishSpeaking('deaf', ['embeddings']);
    });
    const clientAt = (baseUrl: string): Anthropic =>
      new Anthropic({
        baseURL: baseUrl.replace(/\/v1$/, ''),
        apiKey: door().token,
        maxRetries: 0,
        logLevel: 'off',
      });
    const client = (): Anthropic => clientAt(door().baseUrl);
    const params = { model, max_tokens: 10, messages: [user('hi')] };
    const sent = () => backend.requests.findLast(({ method }) => method === 'POST');

    it('gets a message, in the form that the backend gave it', async () => {
      const content = [{ type: 'text', text: 'Hello' }];
      backend.once(answers(200, { ...message, content, stop_reason: 'end_turn', unknown_field: 1 }));
      const answer = await client().messages.create(params);
      expect(answer).to.deep.include({
        id: 'msg_1',
        model,
        stop_reason: 'end_turn',
        content,
        unknown_field: 1,
      });
      expect(sent()?.path).to.equal('/v1/messages');
      expect(sent()?.headers['anthropic-version']).to.match(/^\d{4}-\d{2}-\d{2}$/);
      expect(sent()?.headers['x-api-key'] ?? '').to.not.include(door().token);
    });

    it('passes anthropic-beta on', async () => {
      backend.once(answers(200, { ...message, stop_reason: 'end_turn' }));
      await client().beta.messages.create({ ...params, betas: ['context-1m-2025-08-07'] });
      expect(sent()?.headers['anthropic-beta']).to.equal('context-1m-2025-08-07');
    });

    it('streams a message, each event by its name, and hears pings while the backend is silent', async () => {
      backend.once(
        plays(after(HURRIED_MS * 3.5), ...begin, ...words.map(delta), after(HURRIED_MS * 2.5), ...end),
      );
      const stream = clientAt(door().hurriedUrl).messages.stream(params);
      const final = await stream.finalMessage();
      expect(final.content).to.deep.include({ type: 'text', text: words.join('') });
      expect(final).to.include({ stop_reason: 'end_turn', model });
      expect(final.usage).to.include({ output_tokens: 4 });
    });

    it('raises an error for a stream that breaks', async () => {
      backend.once(plays(...begin, delta('one'), permitted, dies));
      const stream = client().messages.stream(params);
      stream.once('text', () => backend.release());
      const thrown = await thrownBy(() => stream.finalMessage());
      expect(thrown).to.be.instanceOf(APIError);
      expect((thrown as APIError).error).to.have.nested.property('error.type');
    });

    it('counts tokens', async () => {
      backend.once(answers(200, { input_tokens: 14 }));
      const counted = await client().messages.countTokens({ model, messages: [user('hi')] });
      expect(counted).to.deep.include({ input_tokens: 14 });
      expect(sent()?.path).to.equal('/v1/messages/count_tokens');
    });

    it('lists the models in its own form', async () => {
      const models = await client().models.list();
      const one = models.data.find(({ id }) => id === model);
      expect(one).to.include({ type: 'model' }).and.to.include.keys('display_name', 'created_at');
      expect(await client().models.retrieve(model)).to.include({ id: model, type: 'model' });
    });

    it('raises what belongs to each refusal, in its own form', async () => {
      const stranger = new Anthropic({
        baseURL: door().system.url,
        apiKey: 'mcpctl_wrong',
        maxRetries: 0,
        logLevel: 'off',
      });
      const wrong: [() => Promise<unknown>, number, string][] = [
        [() => stranger.messages.create(params), 401, 'authentication_error'],
        [() => client().messages.create({ ...params, model: 'clod-local' }), 404, 'not_found_error'],
        [() => client().messages.create({ ...params, messages: [] }), 400, 'invalid_request_error'],
        [() => client().messages.create({ ...params, model: 'deaf' }), 400, 'invalid_request_error'],
      ];
      for (const [call, status, type] of wrong) {
        const thrown = (await thrownBy(call)) as APIError;
        expect(thrown).to.be.instanceOf(APIError).and.to.include({ status });
        expect(thrown.error).to.include({ type: 'error' });
        expect(thrown.error).to.have.nested.property('error.type', type);
        expect(thrown.error).to.have.nested.property('error.message').that.is.a('string');
      }
    });
  });
}
