import Anthropic, { APIError } from '@anthropic-ai/sdk';
import { ChatOpenAI } from '@langchain/openai';
import { expect } from 'chai';
import type OpenAI from 'openai';
import OpenAI7 from 'openai-7';
import { answers, startBackend, type Backend } from '../support/backend.ts';
import { until } from '../support/system.ts';
import { aiResponsesFacts } from './ai-responses.ts';
import { thrownBy, user, type Door } from './door.ts';
import { openAiAt } from './readers.ts';
import { text } from './scripts.ts';
import { called, thinks } from './thinks.ts';

/** Clients of other protocols, against a backend that speaks chat and nothing else. */
export function translatedFacts(door: () => Door): void {
  describe('over a backend that speaks chat alone', () => {
    const model = 'chat-alone';
    let backend: Backend;
    before(async () => {
      backend = await door().publishSpeaking(model, ['chat']);
      backend.reply(thinks);
    });
    const sent = () => backend.requests.findLast(({ method }) => method === 'POST');
    const anthropic = (): Anthropic =>
      new Anthropic({ baseURL: door().system.url, apiKey: door().token, maxRetries: 0, logLevel: 'off' });
    const schema = { type: 'object' as const, properties: { at: { type: 'string' } } };

    describe('the responses of openai 6', () => {
      const client = (): OpenAI => openAiAt(door());
      const tools = [
        { type: 'function' as const, name: 'look', parameters: schema, strict: false },
        { type: 'web_search' as const },
      ];

      it('are whole, and say that they are translated', async () => {
        const { data, response } = await client()
          .responses.create({ model, input: 'hi', instructions: 'Be brief.', max_output_tokens: 9 })
          .withResponse();
        expect(data).to.include({ model, status: 'completed', output_text: text });
        expect(data.output.map(({ type }) => type)).to.deep.equal(['reasoning', 'message']);
        expect(data.usage).to.include({ input_tokens: 9, output_tokens: 4, total_tokens: 13 });
        expect(response.headers.get('x-mcpctl-translated')).to.equal('responses->chat');
        expect(sent()).to.include({ path: '/v1/chat/completions' });
        expect(sent()?.json).to.deep.equal({
          model: 'tiny',
          messages: [
            { role: 'system', content: 'Be brief.' },
            { role: 'user', content: 'hi' },
          ],
          max_tokens: 9,
        });
      });

      it('say so as well where they are those of an equal call, running or over', async () => {
        const headers = { 'idempotency-key': 'translated-twice' };
        const asked = () => client().responses.create({ model, input: 'hi' }, { headers }).withResponse();
        const [one, other] = await Promise.all([asked(), asked()]);
        const again = await asked();
        for (const { response, data } of [one, other, again]) {
          expect(data.output_text).to.equal(text);
          expect(response.headers.get('x-mcpctl-translated')).to.equal('responses->chat');
        }
        expect(again.response.headers.get('idempotency-replayed')).to.equal('true');
      });

      it('are streamed, tools and all, and its helper puts them together', async () => {
        const stream = client().responses.stream({ model, input: [user('hi')], tools });
        const types = new Set<string>();
        for await (const { type } of stream) types.add(type);
        const final = await stream.finalResponse();
        expect(final).to.include({ status: 'completed', output_text: text, model });
        expect(final.output.at(-1)).to.include({ type: 'function_call', call_id: 'call_1', ...called });
        expect(types).to.include.all.keys('response.reasoning_text.delta', 'response.output_text.delta');
      });

      it('are refused with what the backend said', async () => {
        backend.once(answers(400, { error: { message: 'too hot', type: 'x', code: 'y', param: null } }));
        const thrown = (await thrownBy(() => client().responses.create({ model, input: 'hi' }))) as Error;
        expect(thrown).to.include({ status: 400, code: 'y' });
        expect(thrown.message).to.include('too hot');
      });
    });

    it('openai 7 gets responses, whole and streamed, and chats as before', async () => {
      const client = new OpenAI7({ baseURL: door().baseUrl, apiKey: door().token, maxRetries: 0 });
      const whole = await client.responses.create({ model, input: 'hi' });
      expect(whole).to.include({ model, status: 'completed', output_text: text });
      const streamed = await client.responses.stream({ model, input: 'hi' }).finalResponse();
      expect(streamed).to.include({ status: 'completed', output_text: text });
      const chat = await client.chat.completions.stream({ model, messages: [user('hi')] }).finalContent();
      expect(chat).to.equal(text);
    });

    it('@langchain/openai streams responses', async () => {
      const chat = new ChatOpenAI({
        model,
        apiKey: door().token,
        useResponsesApi: true,
        configuration: { baseURL: door().baseUrl },
      });
      let streamed = '';
      for await (const chunk of await chat.stream('hi')) streamed += chunk.text;
      expect(streamed).to.equal(text);
    });

    describe('the @anthropic-ai/sdk package', () => {
      const params = { model, max_tokens: 10, system: 'Be brief.', messages: [user('hi')] };
      const tools = [{ name: 'look', input_schema: schema }];

      it('gets a whole message', async () => {
        const { data, response } = await anthropic().messages.create(params).withResponse();
        expect(data).to.include({ type: 'message', role: 'assistant', model, stop_reason: 'end_turn' });
        expect(data.content).to.deep.equal([
          { type: 'thinking', thinking: 'hm', signature: '' },
          { type: 'text', text },
        ]);
        expect(data.usage).to.include({ input_tokens: 9, output_tokens: 4 });
        expect(response.headers.get('x-mcpctl-translated')).to.equal('messages->chat');
        expect(sent()?.headers).to.not.have.any.keys('anthropic-version', 'x-api-key');
      });

      it('puts a streamed one together, tools and all', async () => {
        const final = await anthropic()
          .messages.stream({ ...params, tools })
          .finalMessage();
        expect(final.content.map(({ type }) => type)).to.deep.equal(['thinking', 'text', 'tool_use']);
        expect(final.content.at(-1))
          .to.include({ id: 'call_1', name: 'look' })
          .and.to.deep.include({ input: { at: 'sky' } });
        expect(final).to.include({ stop_reason: 'tool_use', model });
        expect(final.usage).to.include({ input_tokens: 9, output_tokens: 4 });
      });

      it('is told in its own shape what the backend refused', async () => {
        backend.once(answers(400, { error: { message: 'too hot', type: 'x', code: 'y', param: null } }));
        const thrown = (await thrownBy(() => anthropic().messages.create(params))) as APIError;
        expect(thrown).to.be.instanceOf(APIError).and.to.include({ status: 400 });
        expect(thrown.error).to.deep.include({ type: 'error' });
        expect(thrown.error).to.have.nested.property('error.message', 'too hot');
      });

      it('is given an estimate of tokens, which says so and asks nobody', async () => {
        const before = backend.requests.length;
        const { data, response } = await anthropic()
          .messages.countTokens({ model, messages: [user('How many tokens has this sentence?')], tools })
          .withResponse();
        expect(data.input_tokens).to.be.within(10, 100);
        expect(response.headers.get('x-mcpctl-translated')).to.equal('count_tokens->estimate');
        expect(backend.requests.length).to.equal(before);
      });
    });

    aiResponsesFacts(door, { model, backend: () => backend });

    it('a task that nobody waits for ends as what was asked for', async () => {
      const body = { model, input: 'hi' };
      const prefer = { prefer: 'respond-async, wait=10' };
      const answer = await door().system.call('POST', '/v1/responses', { body, headers: prefer });
      const task = answer.headers.get('x-mcpctl-task-id') ?? '';
      expect(await answer.json()).to.include({ object: 'response', status: 'completed' });
      const view = (await (await door().system.call('GET', `/api/v1/tasks/${task}`)).json()) as Record<
        string,
        object
      >;
      expect(view).to.include({ operation: 'responses', status: 'completed' });
      expect(view['request']).to.deep.equal(body);
      expect(view['response']).to.include({ object: 'response', id: `resp_${task.replaceAll('-', '')}` });
    });

    it('a member that speaks it itself is preferred', async () => {
      const [chat, native] = [await startBackend(), await startBackend()];
      native.operations = ['chat', 'messages'];
      const poolName = 'two-kinds';
      await door().publishWith([
        { name: 'speaks-chat', backend: chat, poolName },
        { name: 'speaks-both', backend: native, poolName },
      ]);
      await until(
        () => door().system.llm('speaks-both'),
        ({ capabilities }) => capabilities.operations?.includes('messages') === true,
      );
      native.reply(
        answers(200, {
          type: 'message',
          role: 'assistant',
          model: 'tiny',
          content: [],
          stop_reason: 'end_turn',
        }),
      );
      const params = { model: poolName, max_tokens: 1, messages: [user('hi')] };
      for (let n = 0; n < 4; n++) {
        const { response } = await anthropic().messages.create(params).withResponse();
        expect(response.headers.get('x-mcpctl-translated')).to.equal(null);
      }
      const posts = ({ requests }: Backend) => requests.filter(({ method }) => method === 'POST').length;
      expect([posts(chat), posts(native)]).to.deep.equal([0, 4]);
      await Promise.all([chat.close(), native.close()]);
    });
  });
}
