import type { AIMessageChunk } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import type { ChatOpenAI } from '@langchain/openai';
import { OpenAIEmbeddings } from '@langchain/openai';
import { expect } from 'chai';
import { z } from 'zod';
import type { Backend } from '../support/backend.ts';
import type { Door } from './door.ts';
import { langChainAt } from './readers.ts';
import {
  answersChat,
  chunk,
  chunkOf,
  data,
  DONE,
  embeds,
  plays,
  toolArguments,
  toolCalls,
  usage,
  vector,
} from './scripts.ts';

/** `@langchain/openai`: chat, tools, structured output, embeddings. */
export function langChainFacts(door: () => Door): void {
  describe('the langchain packages', () => {
    const name = 'chain';
    let backend: Backend;
    before(async () => {
      backend = (await door().publish([name]))[name] ?? expect.fail();
    });
    const model = (): ChatOpenAI => langChainAt({ ...door(), model: name });
    const weather = tool(() => 'sun', { name: 'weather', schema: z.object({ city: z.string() }) });

    it('invokes a chat, with its usage', async () => {
      backend.once(answersChat({ content: 'Hello' }));
      const answer = await model().invoke([
        ['system', 'Be brief.'],
        ['human', 'hi'],
      ]);
      expect(answer.text).to.equal('Hello');
      expect(answer.usage_metadata).to.include({ input_tokens: 3, output_tokens: 2, total_tokens: 5 });
    });

    it('counts the tokens of a stream, which it asks for by itself', async () => {
      backend.once(
        plays(
          chunk({ role: 'assistant', content: 'a' }),
          chunk({}, 'stop'),
          data(chunkOf([], { usage })),
          DONE,
        ),
      );
      let all: AIMessageChunk | undefined;
      for await (const part of await model().stream('hi')) all = all?.concat(part) ?? part;
      expect(all?.text).to.equal('a');
      expect(all?.usage_metadata).to.include({ total_tokens: 5 });
    });

    it('gets a structured output', async () => {
      backend.once(answersChat({ content: '{"city":"Köln"}' }));
      const structured = model().withStructuredOutput(z.object({ city: z.string() }), {
        method: 'jsonSchema',
      });
      expect(await structured.invoke('hi')).to.deep.equal({ city: 'Köln' });
    });

    for (const [how, script] of Object.entries(toolCalls)) {
      it(`streams the call of a tool that the backend sends ${how}`, async () => {
        backend.once(script);
        let all: AIMessageChunk | undefined;
        for await (const part of await model().bindTools([weather]).stream('hi'))
          all = all?.concat(part) ?? part;
        expect(all?.tool_calls?.map(({ name: called, args }) => [called, args])).to.deep.equal([
          ['weather', toolArguments],
        ]);
        expect(all?.tool_calls?.[0]?.id).to.be.a('string').and.not.to.equal('');
      });
    }

    it('embeds a query and documents', async () => {
      for (const as of ['float', 'base64'] as const) {
        backend.reply(embeds(as));
        const embeddings = new OpenAIEmbeddings({
          model: name,
          apiKey: door().token,
          configuration: { baseURL: door().baseUrl },
        });
        expect(await embeddings.embedQuery('a')).to.deep.equal(vector);
        expect((await embeddings.embedDocuments(['a', 'b'])).map((one) => one[0])).to.deep.equal([
          0.25, 1.25,
        ]);
      }
    });
  });
}
