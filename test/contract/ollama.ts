import { expect } from 'chai';
import { Ollama } from 'ollama';
import { answers, type Backend } from '../support/backend.ts';
import { thrownBy, user, type Door } from './door.ts';
import { text, words } from './scripts.ts';
import { thinks } from './thinks.ts';

/** The `ollama` package, against a backend that speaks OpenAI's protocol and nothing of Ollama's. */
export function ollamaFacts(door: () => Door): void {
  describe('the ollama package', () => {
    const model = 'of-ollama';
    let backend: Backend;
    before(async () => {
      backend = await door().publishSpeaking(model, ['chat', 'embeddings']);
      backend.reply(thinks);
    });
    const client = (): Ollama =>
      new Ollama({ host: door().system.url, headers: { authorization: `Bearer ${door().token}` } });
    const sent = () => backend.requests.findLast(({ method }) => method === 'POST')?.json;

    it('lists and shows the models, each as the name it is called by', async () => {
      const { models } = await client().list();
      expect(models.map(({ name }) => name)).to.include(model);
      const shown = await client().show({ model: `${model}:latest` });
      expect(shown.capabilities).to.include('completion');
      expect((await client().ps()).models.map(({ name }) => name)).to.include(model);
      expect((await client().version()).version).to.match(/^\d+\.\d+\.\d+$/);
    });

    it('chats whole, with options, a format and a picture', async () => {
      const image = 'iVBORw0KGgo=';
      const answer = await client().chat({
        model,
        messages: [
          { role: 'system', content: 'Be brief.' },
          { ...user('hi'), images: [image] },
        ],
        options: { temperature: 0, num_predict: 9, num_ctx: 4096, stop: ['x'] },
        format: { type: 'object' },
      });
      expect(answer).to.include({
        model,
        done: true,
        done_reason: 'stop',
        prompt_eval_count: 9,
        eval_count: 4,
      });
      expect(answer.message).to.deep.equal({ role: 'assistant', content: text, thinking: 'hm' });
      expect(answer.total_duration).to.be.greaterThan(0);
      expect(sent()).to.deep.include({ model: 'tiny', temperature: 0, max_tokens: 9, stop: ['x'] });
      expect(sent()).to.have.nested.property('response_format.json_schema.schema');
      expect(sent()).to.have.nested.property(
        'messages[1].content[1].image_url.url',
        `data:image/png;base64,${image}`,
      );
    });

    it('streams a chat that thinks and calls a tool', async () => {
      const parameters = { type: 'object', properties: {} };
      const tools = [{ type: 'function', function: { name: 'look', description: 'Looks', parameters } }];
      const stream = await client().chat({ model, messages: [user('hi')], tools, stream: true });
      const parts = [];
      for await (const part of stream) parts.push(part);
      expect(parts.map(({ message }) => message.content).join('')).to.equal(text);
      expect(parts.map(({ message }) => message.thinking ?? '').join('')).to.equal('hm');
      const calls = parts.flatMap(({ message }) => message.tool_calls ?? []);
      expect(calls.map((call) => call.function)).to.deep.equal([{ name: 'look', arguments: { at: 'sky' } }]);
      expect(parts.filter(({ done }) => done)).to.have.length(1);
      expect(parts.at(-1)).to.include({ done: true, done_reason: 'stop', eval_count: 4 });
    });

    it('sends a tool’s result back to the call that it belongs to', async () => {
      const called = { function: { name: 'look', arguments: { at: 'sky' } } };
      const answer = { role: 'assistant', content: '', tool_calls: [called] };
      await client().chat({
        model,
        messages: [user('hi'), answer, { role: 'tool', content: 'blue', tool_name: 'look' }],
      });
      const [, call, result] = sent()?.['messages'] as {
        tool_call_id?: string;
        tool_calls?: { id: string }[];
      }[];
      expect(result?.tool_call_id).to.equal(call?.tool_calls?.[0]?.id).and.to.be.a('string');
    });

    it('sends several back each to its own, by name or by what its call is called, in whatever order', async () => {
      const call = (name: string, id?: string): object => ({
        ...(id && { id }),
        function: { name, arguments: {} },
      });
      const tool = (content: string, more: object): object => ({ role: 'tool', content, ...more });
      const messages = [
        user('hi'),
        { role: 'assistant', content: '', tool_calls: [call('look'), call('hear'), call('hear')] },
        ...[tool('a', { tool_name: 'hear' }), tool('b', { tool_name: 'look' }), tool('c', {})],
        { role: 'assistant', content: '', tool_calls: [call('look', 'mine'), call('hear', 'yours')] },
        ...[tool('d', { tool_call_id: 'yours' }), tool('e', { tool_call_id: 'mine' })],
      ];
      const answer = await door().system.call('POST', '/api/chat', {
        body: { model, stream: false, messages },
      });
      expect(answer.status).to.equal(200);
      const all = sent()?.['messages'] as {
        content?: string;
        tool_call_id?: string;
        tool_calls?: { id: string }[];
      }[];
      const [first, second] = all.flatMap(({ tool_calls: calls }) =>
        calls ? [calls.map(({ id }) => id)] : [],
      );
      const results = all.flatMap(({ content, tool_call_id: id }) => (id ? [[content, id]] : []));
      const [look, hear, again] = first ?? [];
      expect(results.slice(0, 3)).to.deep.equal([
        ['a', hear],
        ['b', look],
        ['c', again],
      ]);
      expect(second).to.deep.equal(['mine', 'yours']);
      expect(results.slice(3)).to.deep.equal([
        ['d', 'yours'],
        ['e', 'mine'],
      ]);
    });

    it('generates, whole and streamed', async () => {
      const whole = await client().generate({ model, prompt: 'hi', system: 'Be brief.' });
      expect(whole).to.include({ response: text, done: true, thinking: 'hm' });
      let streamed = '';
      for await (const part of await client().generate({ model, prompt: 'hi', stream: true }))
        streamed += part.response;
      expect(streamed).to.equal(words.join(''));
      const loaded = await client().generate({ model, prompt: '' });
      expect(loaded).to.include({ done: true, done_reason: 'load', response: '' });
    });

    it('embeds, by the call of now and by the older one', async () => {
      const data = [
        { object: 'embedding', index: 1, embedding: [3, 4] },
        { object: 'embedding', index: 0, embedding: [1, 2] },
      ];
      const body = { object: 'list', data, model: 'tiny', usage: { prompt_tokens: 2, total_tokens: 2 } };
      backend.once(answers(200, body));
      const answer = await client().embed({ model, input: ['a', 'b'] });
      expect(answer.embeddings).to.deep.equal([
        [1, 2],
        [3, 4],
      ]);
      backend.once(answers(200, { ...body, data: data.slice(1) }));
      expect((await client().embeddings({ model, prompt: 'a' })).embedding).to.deep.equal([1, 2]);
    });

    it('is told in its own shape what went wrong', async () => {
      const missing = (await thrownBy(() =>
        client().chat({ model: 'nobody', messages: [user('hi')] }),
      )) as Error;
      expect(missing.message).to.include("no llm named 'nobody'");
      expect(missing).to.include({ status_code: 404 });
      backend.once(answers(400, { error: { message: 'too hot', type: 'x', code: 'y', param: null } }));
      const refused = (await thrownBy(() => client().chat({ model, messages: [user('hi')] }))) as Error;
      expect(refused.message).to.equal('too hot');
      const stranger = new Ollama({ host: door().system.url });
      expect(await thrownBy(() => stranger.list())).to.include({ status_code: 401 });
      const bad = await door().system.call('POST', '/api/chat', {
        body: { model, messages: [{ role: 'robot' }] },
      });
      expect([bad.status, await bad.json()]).to.deep.include(400);
    });
  });
}
