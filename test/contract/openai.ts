import { expect } from 'chai';
import OpenAI, { APIError, toFile } from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { answers, chats, hangs, type Backend } from '../support/backend.ts';
import { until } from '../support/system.ts';
import { thrownBy, user, type Door } from './door.ts';
import { openAiAt } from './readers.ts';
import {
  answersChat,
  chunk,
  chunkOf,
  data,
  DONE,
  embeds,
  packed,
  plays,
  toolArguments,
  toolCalls,
  usage,
  vector,
  words,
} from './scripts.ts';

const tools: OpenAI.ChatCompletionTool[] = [
  {
    type: 'function',
    function: {
      name: 'weather',
      parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    },
  },
];

/** `openai` 6: every method that people call on a chat server. */
export function openAiFacts(door: () => Door): void {
  describe('the openai package', () => {
    const model = 'openai';
    let backend: Backend;
    let client: OpenAI;
    before(async () => {
      backend = (await door().publish([model]))[model] ?? expect.fail();
      client = openAiAt(door());
    });
    const messages = [user('hi')];
    const sent = () => backend.requests.findLast(({ method }) => method === 'POST')?.json;

    it('gets a whole chat, and tells the id of the request', async () => {
      backend.once(answersChat({ content: 'Hello' }));
      const answer = await client.chat.completions.create({ model, messages });
      expect(answer.choices[0]).to.have.nested.property('message.content', 'Hello');
      expect(answer).to.include({ model, object: 'chat.completion' });
      expect(answer.usage).to.deep.include(usage);
      expect(answer._request_id).to.be.a('string').and.not.to.equal('');
    });

    it('gets every choice of n, streamed and whole, with their log probabilities', async () => {
      const logprobs = {
        content: [{ token: 'a', logprob: -0.5, bytes: [97], top_logprobs: [] }],
        refusal: null,
      };
      const choice = (index: number) => ({
        index,
        message: { role: 'assistant', content: `c${index}` },
        logprobs,
        finish_reason: 'stop',
      });
      backend.once(answers(200, { ...chunkOf([choice(0), choice(1)]), object: 'chat.completion', usage }));
      const params = { model, messages, n: 2, logprobs: true, top_logprobs: 1, seed: 7 };
      const whole = await client.chat.completions.create(params);
      expect(whole.choices.map(({ message }) => message.content)).to.deep.equal(['c0', 'c1']);
      expect(whole.choices[1]?.logprobs?.content?.[0]).to.include({ token: 'a', logprob: -0.5 });
      expect(sent()).to.deep.include({ n: 2, logprobs: true, top_logprobs: 1, seed: 7 });
      const one = (index: number, delta: object, finish: string | null = null) =>
        data(chunkOf([{ index, delta, logprobs: finish === null ? logprobs : null, finish_reason: finish }]));
      const pieces = [one(0, { content: 'a' }), one(1, { content: 'b' }), one(1, { content: 'B' })];
      const script = plays(
        ...pieces,
        one(0, { content: 'A' }),
        one(1, {}, 'stop'),
        one(0, {}, 'length'),
        DONE,
      );
      backend.once(script);
      const read = ['', ''];
      const finishes: [number, string][] = [];
      let tokens = 0;
      for await (const { choices } of await client.chat.completions.create({ ...params, stream: true }))
        for (const { index, delta, finish_reason, logprobs: probable } of choices) {
          read[index] += delta.content ?? '';
          if (finish_reason) finishes.push([index, finish_reason]);
          tokens += probable?.content?.length ?? 0;
        }
      expect([read, finishes, tokens]).to.deep.equal([
        ['aA', 'bB'],
        [
          [1, 'stop'],
          [0, 'length'],
        ],
        4,
      ]);
      backend.once(script);
      const final = await client.chat.completions.stream(params).finalChatCompletion();
      expect(final.choices.map((c) => [c.message.content, c.finish_reason])).to.deep.equal([
        ['aA', 'length'],
        ['bB', 'stop'],
      ]);
    });

    it('parses a structured output, and the schema reaches the backend', async () => {
      const City = z.object({ city: z.string(), people: z.number() });
      backend.once(answersChat({ content: '{"city":"Köln","people":1000000}' }));
      const format = zodResponseFormat(City, 'city');
      const answer = await client.chat.completions.parse({ model, messages, response_format: format });
      expect(answer.choices[0]?.message.parsed).to.deep.equal({ city: 'Köln', people: 1_000_000 });
      expect(sent()?.['response_format']).to.deep.equal(JSON.parse(JSON.stringify(format)));
    });

    it('sends pictures as content parts', async () => {
      const picture = `data:image/png;base64,${Buffer.alloc(200_000, 7).toString('base64')}`;
      const content = [
        { type: 'text' as const, text: 'What is it?' },
        { type: 'image_url' as const, image_url: { url: picture, detail: 'low' as const } },
      ];
      backend.once(answersChat({ content: 'A cat.' }));
      await client.chat.completions.create({ model, messages: [{ role: 'user', content }] });
      expect(sent()?.['messages']).to.deep.equal([{ role: 'user', content }]);
    });

    it('reads what a model thinks, under either name', async () => {
      for (const field of ['reasoning_content', 'reasoning']) {
        backend.once(
          plays(
            chunk({ role: 'assistant', [field]: 'Hm' }),
            chunk({ [field]: '.' }),
            chunk({ content: 'Yes' }),
            chunk({}, 'stop'),
            DONE,
          ),
        );
        let thought = '';
        for await (const { choices } of await client.chat.completions.create({
          model,
          messages,
          stream: true,
        }))
          thought += String((choices[0]?.delta as Record<string, string>)[field] ?? '');
        expect(thought).to.equal('Hm.');
      }
    });

    for (const [how, script] of Object.entries(toolCalls)) {
      it(`streams the call of a tool that the backend sends ${how}`, async () => {
        backend.once(script);
        const helper = client.chat.completions.stream({ model, messages, tools });
        const answer = (await helper.finalChatCompletion()).choices[0];
        const [call] = answer?.message.tool_calls ?? [];
        expect(answer?.finish_reason).to.equal('tool_calls');
        expect(call).to.include({ type: 'function' });
        expect(call?.id).to.be.a('string').and.not.to.equal('');
        expect(call?.type === 'function' && call.function.name).to.equal('weather');
        expect(call?.type === 'function' && JSON.parse(call.function.arguments)).to.deep.equal(toolArguments);
        expect(sent()?.['tools']).to.deep.equal(tools);
      });
    }

    it('counts tokens at the end of a stream when it asks, and only then', async () => {
      for (const include of [true, false]) {
        backend.once(chats(['a', 'b']));
        const stream_options = include ? { include_usage: true } : undefined;
        const chunks: OpenAI.ChatCompletionChunk[] = [];
        const params = { model, messages, stream: true as const };
        for await (const one of await client.chat.completions.create({
          ...params,
          ...(stream_options ? { stream_options } : {}),
        }))
          chunks.push(one);
        const counted = chunks.filter((one) => one.usage);
        expect(counted.map((one) => [one.choices, one.usage?.completion_tokens])).to.deep.equal(
          include ? [[[], 2]] : [],
        );
        expect(sent()?.['stream_options']).to.deep.equal({ include_usage: true });
      }
    });

    it('completes a prompt, whole and streamed', async () => {
      const head = { id: 'cmpl-b', object: 'text_completion', created: 1_700_000_000, model: 'tiny' };
      const part = (text: string, finish: string | null = null) =>
        data({ ...head, choices: [{ index: 0, text, logprobs: null, finish_reason: finish }] });
      backend.once(
        answers(200, {
          ...head,
          choices: [{ index: 0, text: 'b()', logprobs: null, finish_reason: 'stop' }],
          usage,
        }),
      );
      const whole = await client.completions.create({ model, prompt: 'a(', suffix: ')', max_tokens: 5 });
      expect(whole).to.include({ model, object: 'text_completion' });
      expect(whole.choices[0]).to.include({ text: 'b()', finish_reason: 'stop' });
      expect(sent()).to.deep.include({ prompt: 'a(', suffix: ')' });
      expect(backend.requests.at(-1)?.path).to.equal('/v1/completions');
      backend.once(
        plays(
          ...words.map((text) => part(text)),
          part('', 'stop'),
          data({ ...head, choices: [], usage }),
          DONE,
        ),
      );
      let text = '';
      let finish: string | null = null;
      for await (const one of await client.completions.create({ model, prompt: 'a(', stream: true })) {
        expect(one).to.include({ model, object: 'text_completion' });
        const choice = one.choices[0] as OpenAI.CompletionChoice;
        text += choice.text;
        finish = choice.finish_reason ?? finish;
      }
      expect([text, finish]).to.deep.equal([words.join(''), 'stop']);
    });

    for (const as of ['float', 'base64'] as const) {
      it(`embeds strings, lists and token ids, as it asks, when the backend answers in ${as}`, async () => {
        for (const input of ['a', ['a', 'b'], [1, 2, 3], [[1], [2, 3]]]) {
          const many = Array.isArray(input) && typeof input[0] !== 'number' ? input.length : 1;
          const expected = Array.from({ length: many }, (_, n) => [(vector[0] ?? 0) + n, ...vector.slice(1)]);
          // Not said, the package asks for base64 and unpacks it; said, it gives what came.
          backend.once(embeds(as));
          const unsaid = await client.embeddings.create({ model, input });
          expect(unsaid.data.map(({ embedding }) => [...embedding])).to.deep.equal(expected);
          expect(sent()?.['input']).to.deep.equal(input);
          backend.once(embeds(as));
          const floats = await client.embeddings.create({ model, input, encoding_format: 'float' });
          expect(floats.data.map(({ embedding }) => embedding)).to.deep.equal(expected);
          expect(floats).to.include({ model, object: 'list' });
        }
        backend.once(embeds(as));
        const raw = await client.embeddings.create({
          model,
          input: 'a',
          encoding_format: 'base64',
          dimensions: 5,
        });
        expect(raw.data[0]?.embedding).to.equal(packed);
        expect(sent()).to.include({ dimensions: 5 });
      });
    }

    it('lists the models, and finds one', async () => {
      const ids: string[] = [];
      for await (const one of client.models.list()) ids.push(one.id);
      expect(ids).to.include(model);
      expect(await client.models.retrieve(model)).to.include({
        id: model,
        object: 'model',
        owned_by: 'mcpctl',
      });
      expect(await thrownBy(() => client.models.retrieve('nowhere'))).to.be.instanceOf(OpenAI.NotFoundError);
    });

    it('raises what belongs to each refusal, with the id of the request', async () => {
      const other = new OpenAI({
        baseURL: door().baseUrl,
        apiKey: 'mcpctl_wrong',
        maxRetries: 0,
        logLevel: 'off',
      });
      const wrong: [() => Promise<unknown>, unknown, object][] = [
        [() => other.models.list(), OpenAI.AuthenticationError, { status: 401, code: 'invalid_api_key' }],
        [
          () => client.chat.completions.create({ model: 'opnai', messages }),
          OpenAI.NotFoundError,
          { code: 'model_not_found' },
        ],
        [
          () => client.chat.completions.create({ model, messages: [] }),
          OpenAI.BadRequestError,
          { param: 'messages' },
        ],
        [() => client.completions.create({ model } as never), OpenAI.BadRequestError, { param: 'prompt' }],
        [() => client.embeddings.create({ model } as never), OpenAI.BadRequestError, { param: 'input' }],
        [() => client.images.generate({ model, prompt: 'a cat' }), OpenAI.NotFoundError, { status: 404 }],
        [() => client.files.list(), OpenAI.NotFoundError, { status: 404 }],
        [
          () => client.responses.create({ model, input: 'hi', previous_response_id: 'resp_1' }),
          OpenAI.BadRequestError,
          { param: 'previous_response_id' },
        ],
      ];
      for (const [call, kind, facts] of wrong) {
        const thrown = (await thrownBy(call)) as APIError;
        expect(thrown).to.be.instanceOf(kind).and.to.include(facts);
        expect(thrown.requestID).to.be.a('string').and.not.to.equal('');
        expect(thrown.error).to.include.keys('message', 'type', 'param', 'code');
      }
    });

    it('is told that there is nothing for its uploads: JSON, not a page', async () => {
      const file = await toFile(Buffer.from('x'), 'a.wav');
      const thrown = (await thrownBy(() => client.audio.transcriptions.create({ model, file }))) as APIError;
      expect(thrown).to.be.instanceOf(APIError);
      expect(thrown.status).to.be.oneOf([404, 415]);
      expect(thrown.error).to.include.keys('message', 'type', 'param', 'code');
    });

    it('stops the backend when it aborts, streamed or not, and nothing runs again', async () => {
      for (const stream of [true, false]) {
        const marker = `abort-${String(stream)}`;
        backend.once(stream ? chats(['one', 'two'], { paced: true }) : hangs());
        if (stream) backend.release();
        const abort = new AbortController();
        const retrying = openAiAt(door(), 2);
        const params = { model, messages: [user(marker)] };
        const thrown = thrownBy(async () => {
          if (!stream) return await retrying.chat.completions.create(params, { signal: abort.signal });
          const answer = await retrying.chat.completions.create(
            { ...params, stream },
            { signal: abort.signal },
          );
          for await (const one of answer) if (one.choices[0]?.delta.content) abort.abort();
          throw new OpenAI.APIUserAbortError(); // an aborted iterator ends quietly
        });
        if (!stream) {
          while (!(await backend.next('request')).body.includes(marker));
          abort.abort();
        }
        expect(await thrown).to.be.instanceOf(OpenAI.APIUserAbortError);
        while (!(await backend.next('closed')).body.includes(marker));
        await until(
          () => door().system.openTasks(model),
          (open) => open === 0,
        );
        expect(backend.requests.filter(({ body }) => body.includes(marker))).to.have.length(1);
      }
    });
  });
}
