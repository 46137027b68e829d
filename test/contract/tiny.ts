import { generateText } from 'ai';
import { expect } from 'chai';
import { demoModelId } from '../../start/demo/model.ts';
import { startDemoEngine, type DemoEngine } from '../support/demo-engine.ts';
import { thrownBy, user, type Door } from './door.ts';
import { aiSdkAt, langChainAt, openAiAt, postChat, readerNames, readers } from './readers.ts';
import { expectForm } from './form.ts';

/** The same clients with a real model at the end: llama.cpp with tiny-chat. */
export function tinyFacts(door: () => Door): void {
  describe('a real model', () => {
    const model = 'tiny-chat';
    let engine: DemoEngine | undefined;
    before(async function () {
      engine = await startDemoEngine();
      if (!engine) return this.skip();
      await door().publishWith([{ name: model, model: demoModelId, backend: engine, maxConcurrency: 4 }]);
    });
    after(async () => void (await engine?.stop()));
    const ask = () => ({ baseUrl: door().baseUrl, token: door().token, model });

    it('streams words to every client, and ends for each', async () => {
      const read = await Promise.all(
        readerNames.map(async (name) => ({ name, ...(await readers[name](ask())) })),
      );
      for (const { name, text, finish } of read) {
        expect([name, finish]).to.deep.equal([name, 'stop']);
        expect(text, name).to.match(/\w/);
      }
    });

    it('streams in the form of the contract', async () => {
      expectForm(Buffer.from(await (await postChat(ask())).arrayBuffer()), model);
    });

    it('gives the same words again for the same seed, whichever client asks, and counts them', async () => {
      const params = { model, messages: [user('Who are you?')], seed: 7, temperature: 0 };
      const answer = await openAiAt(ask()).chat.completions.create(params);
      const content = answer.choices[0]?.message.content ?? '';
      expect(content).to.match(/\w/);
      expect(answer.model).to.equal(model);
      expect(answer.usage?.completion_tokens).to.be.greaterThan(0);
      const vercel = await generateText({
        model: aiSdkAt(ask())(model),
        prompt: 'Who are you?',
        seed: 7,
        temperature: 0,
      });
      expect(vercel.text).to.equal(content);
      const chained = await langChainAt(ask()).invoke('Who are you?', { seed: 7 });
      expect(chained.text).to.match(/\w/);
    });

    it('is not asked for what its backend was found not to do', async () => {
      const calls = [
        () => openAiAt(ask()).completions.create({ model, prompt: 'Hello' }),
        () => openAiAt(ask()).embeddings.create({ model, input: 'Hello' }),
      ];
      for (const call of calls)
        expect(await thrownBy(call)).to.include({ status: 400, code: 'no_capable_member' });
    });

    it('tells its context length, as its backend tells it', async () => {
      const card = (await openAiAt(ask()).models.retrieve(model)) as unknown as Record<string, unknown>;
      expect(card['context_length']).to.be.a('number').and.to.equal(card['max_model_len']);
    });
  });
}
