import { generateText } from 'ai';
import { expect } from 'chai';
import type { Backend } from '../support/backend.ts';
import { user, type Door } from './door.ts';
import { aiSdkAt, langChainAt, openAiAt } from './readers.ts';
import { answersChat } from './scripts.ts';

/** Agents as models, and threads at OpenAI's door, by the clients that people use (docs/agents.md, docs/chat.md). */
export function agentFacts(door: () => Door): void {
  describe('an agent', () => {
    const [llm, name] = ['behind', 'critic'];
    let backend: Backend;
    before(async () => {
      backend = (await door().publish([llm]))[llm] ?? expect.fail();
      const { system } = door();
      for (const [path, body] of [
        ['agents', { name, llm, systemPrompt: 'You review.' }],
        ['prompts', { name: 'blunt', agent: name, content: 'Be blunt.' }],
        ['personalities', { name: 'grumpy', agent: name, prompts: [{ prompt: 'blunt' }] }],
      ] as const)
        expect((await system.call('POST', `/api/v1/${path}`, { body })).status).to.equal(201);
    });
    const sent = (): { messages: { role: string; content: string }[] } =>
      backend.requests.findLast(({ method }) => method === 'POST')?.json as never;
    const system = (): string => sent().messages[0]?.content ?? '';

    it('is a model of the openai, ai and langchain packages, as each of its personalities', async () => {
      const models = (await openAiAt(door()).models.list()).data.map(({ id }) => id);
      expect(models).to.include.members([name, `${name}:grumpy`]);
      for (const [model, prompt] of [
        [name, 'You review.\n\nBe blunt.'],
        [`${name}:grumpy`, 'You review.\n\nBe blunt.'],
      ] as const) {
        backend.reply(answersChat({ content: 'Hello' }));
        const messages = [{ role: 'system' as const, content: 'Mine.' }, user('hi')];
        const answer = await openAiAt(door()).chat.completions.create({ model, messages });
        expect([answer.model, answer.choices[0]?.message.content]).to.deep.equal([model, 'Hello']);
        expect(system()).to.equal(`${prompt}\n\nMine.`);
        const { text } = await generateText({ model: aiSdkAt(door())(model), system: 'Mine.', prompt: 'hi' });
        expect([text, system()]).to.deep.equal(['Hello', `${prompt}\n\nMine.`]);
        const chained = await langChainAt({ ...door(), model }).invoke([['human', 'hi']]);
        expect([chained.text, system()]).to.deep.equal(['Hello', prompt]);
      }
    });

    it('has its tools run by the openai package in a thread: in parallel, backwards, in two posts, and said twice', async () => {
      const client = openAiAt(door());
      const given = ['{"n": 12345678901234567890, "ü": "é\\u00e9"}', '{"n":1.0}'];
      const calls = given.map((args, at) => ({
        ...{ id: `c${at}`, type: 'function' },
        function: { name: 'add', arguments: args },
      }));
      backend.once(answersChat({ content: null, tool_calls: calls }, { finish: 'tool_calls' }));
      const tools = [
        { type: 'function' as const, function: { name: 'add', parameters: { type: 'object' } } },
      ];
      const { data, response } = await client.chat.completions
        .create({ model: name, messages: [user('sum?')], tools }, { headers: { 'x-mcpctl-thread': 'new' } })
        .withResponse();
      expect(data.choices[0]?.message.tool_calls).to.deep.equal(calls);
      const headers = { 'x-mcpctl-thread': response.headers.get('x-mcpctl-thread-id') ?? '' };
      const bring = (id: string) =>
        client.chat.completions.create(
          { model: name, tools, messages: [{ role: 'tool', tool_call_id: id, content: `result of ${id}` }] },
          { headers },
        );
      for (let n = 0; n < 2; n++) expect(await bring('c1')).to.deep.include({ missing: ['c0'] });
      const unasked = await bring('c9').then(
        () => 0,
        (thrown: unknown) => (thrown as { status: number }).status,
      );
      expect(unasked).to.equal(400);
      backend.once(answersChat({ content: 'Three.' }));
      const last = await bring('c0');
      expect(last.choices[0]?.message.content).to.equal('Three.');
      const [, , called, ...results] = sent().messages as unknown as {
        tool_calls?: unknown;
        tool_call_id?: string;
      }[];
      expect(called?.tool_calls).to.deep.equal(calls);
      expect(results.map(({ tool_call_id: id }) => id)).to.deep.equal(['c0', 'c1']);
      const doubled = await client.chat.completions
        .create({ model: name, messages: [{ role: 'assistant', content: 'x' }, user('y')] }, { headers })
        .then(
          () => 0,
          (thrown: unknown) => (thrown as { status: number }).status,
        );
      expect(doubled).to.equal(400);
    });
  });
}
