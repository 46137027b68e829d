import { embed, embedMany, generateObject, generateText, streamText, tool } from 'ai';
import { expect } from 'chai';
import { z } from 'zod';
import type { Backend } from '../support/backend.ts';
import { answers } from '../support/backend.ts';
import { thrownBy, type Door } from './door.ts';
import { aiSdkAt } from './readers.ts';
import { answersChat, chunk, DONE, embeds, plays, toolArguments, toolCalls, vector } from './scripts.ts';

/** `ai` 5 with `@ai-sdk/openai-compatible`, which checks every chunk against a schema. */
export function aiSdkFacts(door: () => Door): void {
  describe('the ai package', () => {
    const name = 'vercel';
    let backend: Backend;
    before(async () => {
      backend = (await door().publish([name]))[name] ?? expect.fail();
    });
    const model = () => aiSdkAt(door())(name);
    const sent = () => backend.requests.findLast(({ method }) => method === 'POST')?.json;

    it('generates text, with its usage', async () => {
      backend.once(answersChat({ content: 'Hello', reasoning_content: 'Hm.' }));
      const answer = await generateText({ model: model(), prompt: 'hi', seed: 7 });
      expect([answer.text, answer.reasoningText, answer.finishReason]).to.deep.equal([
        'Hello',
        'Hm.',
        'stop',
      ]);
      expect(answer.usage).to.include({ inputTokens: 3, outputTokens: 2, totalTokens: 5 });
      expect(sent()).to.include({ seed: 7 });
    });

    it('generates an object', async () => {
      backend.once(answersChat({ content: '{"city":"Köln"}' }));
      const { object } = await generateObject({
        model: model(),
        prompt: 'hi',
        schema: z.object({ city: z.string() }),
      });
      expect(object).to.deep.equal({ city: 'Köln' });
      expect(sent()).to.have.nested.property('response_format.type');
    });

    it('streams what a model thinks apart from what it says', async () => {
      for (const field of ['reasoning_content', 'reasoning']) {
        backend.once(
          plays(
            chunk({ role: 'assistant', [field]: 'Hm.' }),
            chunk({ content: 'Yes' }),
            chunk({}, 'stop'),
            DONE,
          ),
        );
        const answer = streamText({ model: model(), prompt: 'hi' });
        expect([await answer.text, await answer.reasoningText]).to.deep.equal(['Yes', 'Hm.']);
      }
    });

    for (const [how, script] of Object.entries(toolCalls)) {
      it(`runs a tool whose call the backend streams ${how}, and goes on with its result`, async () => {
        backend.once(script);
        backend.once(plays(chunk({ role: 'assistant', content: 'Sunny.' }), chunk({}, 'stop'), DONE));
        const asked: unknown[] = [];
        const weather = tool({
          inputSchema: z.object({ city: z.string() }),
          execute: async (input) => {
            asked.push(input);
            return 'sun';
          },
        });
        const answer = streamText({
          model: model(),
          prompt: 'hi',
          tools: { weather },
          stopWhen: ({ steps }) => steps.length === 2,
          onError: () => undefined,
        });
        expect(await answer.text).to.equal('Sunny.');
        expect(asked).to.deep.equal([toolArguments]);
        const messages = sent()?.['messages'] as {
          role: string;
          tool_call_id?: string;
          tool_calls?: { id: string }[];
        }[];
        expect(messages.map(({ role }) => role)).to.deep.equal(['user', 'assistant', 'tool']);
        expect(messages[2]?.tool_call_id).to.equal(messages[1]?.tool_calls?.[0]?.id);
      });
    }

    it('embeds one value and many', async () => {
      backend.reply(embeds('float'));
      const one = await embed({ model: aiSdkAt(door()).textEmbeddingModel(name), value: 'a' });
      expect(one.embedding).to.deep.equal(vector);
      const many = await embedMany({ model: aiSdkAt(door()).textEmbeddingModel(name), values: ['a', 'b'] });
      expect(many.embeddings[1]).to.deep.equal([(vector[0] ?? 0) + 1, ...vector.slice(1)]);
    });

    it('says what a refusal said', async () => {
      backend.once(
        answers(400, {
          error: {
            message: 'Too long.',
            type: 'invalid_request_error',
            param: null,
            code: 'context_length_exceeded',
          },
        }),
      );
      const thrown = await thrownBy(() => generateText({ model: model(), prompt: 'hi', maxRetries: 0 }));
      expect(thrown).to.include({
        name: 'AI_APICallError',
        message: 'Too long.',
        statusCode: 400,
        isRetryable: false,
      });
    });
  });
}
