import { expect } from 'chai';
import OpenAI from 'openai';
import { chats, type Backend } from '../support/backend.ts';
import { thrownBy, user, type Door } from './door.ts';
import { openAiAt } from './readers.ts';

const aliases = ['qwen/qwen3:30b', 'Qwen/Qwen3-Coder:latest', 'a/b/c:d', 'gpt-4o'] as const;

/** A model is called by its name, its pool's key or an alias; the answer calls it the same. */
export function nameFacts(door: () => Door): void {
  describe('a model', () => {
    let client: OpenAI;
    let backend: Backend;
    before(async () => {
      const { system } = door();
      client = openAiAt(door());
      backend =
        (await door().publish(['named'], { poolName: 'named-pool', model: 'real:1b' }))['named'] ??
        expect.fail();
      // Only public rows have aliases; this one stands in the pool that the worker serves.
      const body = {
        name: 'catalogue',
        type: 'openai',
        model: 'cloud',
        url: 'https://api.example.com/v1',
        poolName: 'named-pool',
        aliases,
        capabilities: { contextLength: 32_768 },
      };
      expect((await system.call('POST', '/api/v1/llms', { body })).status).to.equal(201);
    });
    const messages = [user('hi')];

    for (const model of [...aliases, 'named', 'named-pool', 'catalogue']) {
      it(`is called '${model}' in the answer, and by its own name at the backend`, async () => {
        backend.reply(chats(['ok']));
        const { data: whole, response } = await client.chat.completions
          .create({ model, messages })
          .withResponse();
        expect(whole.model).to.equal(model);
        expect(response.headers.get('x-mcpctl-model')).to.equal('real:1b');
        for await (const chunk of await client.chat.completions.create({ model, messages, stream: true }))
          expect(chunk.model).to.equal(model);
        expect(backend.requests.at(-1)?.json?.['model']).to.equal('real:1b');
      });

      it(`is found as '${model}', slashes escaped or not`, async () => {
        // The package escapes what it puts into a path; others do not.
        expect(await client.models.retrieve(model)).to.include({ id: model, object: 'model' });
        const bare = await fetch(`${door().baseUrl}/models/${model}`, {
          headers: { authorization: `Bearer ${door().token}` },
        });
        expect(bare.status).to.equal(200);
        expect(await bare.json()).to.include({ id: model, object: 'model' });
      });
    }

    it('is listed by each name that it can be called by, with the context length under both names', async () => {
      const { data } = await client.models.list();
      const ids = data.map(({ id }) => id);
      expect(ids).to.include.members(['named', ...aliases]);
      expect(new Set(ids).size).to.equal(ids.length);
      const one = data.find(({ id }) => id === aliases[0]);
      expect(one).to.include({ context_length: 32_768, max_model_len: 32_768, owned_by: 'mcpctl' });
    });

    it('is neither listed nor found for who may not use it', async () => {
      const { system } = door();
      const made = await system.call('POST', '/api/v1/tokens', {
        body: { name: 'narrow', pools: ['openai'] },
      });
      const { token } = (await made.json()) as { token: string };
      const narrow = openAiAt({ baseUrl: door().baseUrl, token });
      expect((await narrow.models.list()).data.map(({ id }) => id)).to.deep.equal(['openai']);
      for (const model of ['named', aliases[0]])
        expect(await thrownBy(() => narrow.models.retrieve(model))).to.be.instanceOf(OpenAI.NotFoundError);
    });

    it('that is not there is named with those that are close', async () => {
      const thrown = await thrownBy(() =>
        client.chat.completions.create({ model: 'qwen/qwen3:30', messages }),
      );
      expect(thrown).to.be.instanceOf(OpenAI.NotFoundError);
      expect((thrown as Error).message).to.include('qwen/qwen3:30b');
    });
  });
}
