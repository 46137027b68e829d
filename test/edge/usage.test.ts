import { expect } from 'chai';
import type { Used } from '../../core/operator/usage.ts';
import { edgeFixture, publicLlm, type EdgeFixture } from '../support/edge.ts';

describe('GET /api/v1/usage', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  const ask = { request: { messages: [{ role: 'user', content: 'hi' }] } };
  const make = async (llm: string, token: string): Promise<string> =>
    ((await t.call('POST /api/v1/tasks', { token, body: { llm, ...ask } })).json as { id: string }).id;
  const complete = (id: string, tokens: number, agoHours = 0) =>
    t.connection
      .db('tasks')
      .where({ id })
      .update({
        status: 'completed',
        completedAt: t.connection.db.raw(`now() - ? * interval '1 hour'`, [agoHours]),
        usage: JSON.stringify({ promptTokens: tokens, completionTokens: 1, totalTokens: tokens + 1 }),
      });
  const used = async (query: string, token: string): Promise<Used[]> =>
    ((await t.call(`GET /api/v1/usage${query}`, { token })).json as { items: Used[] }).items;

  before(async () => {
    t = await edgeFixture();
    for (const name of ['big', 'small']) await publicLlm(t, name);
    await complete(await make('big', t.tokens.ada), 100);
    await complete(await make('small', t.tokens.ada), 5);
    await complete(await make('small', t.tokens.bob), 7);
    await complete(await make('big', t.tokens.bob), 1_000, 30);
    const open = await make('big', t.tokens.bob);
    const cancelled = await make('small', t.tokens.bob);
    await t.call(`DELETE /api/v1/tasks/${cancelled}`, { token: t.tokens.bob });
    expect(open).to.be.a('string');
  });
  after(() => t.close());

  it('adds up what ended, the most tokens first, by user, llm, pool and token', async () => {
    const { root } = t.tokens;
    const ada = { tasks: 2, completed: 2, tokensIn: 105, tokensOut: 2 };
    const bob = { tasks: 2, completed: 1, tokensIn: 7, tokensOut: 1 };
    expect(await used('', root)).to.deep.equal([
      { name: 'ada', ...ada },
      { name: 'bob', ...bob },
    ]);
    expect(await used('?by=user&hours=48', root)).to.deep.equal([
      { name: 'bob', tasks: 3, completed: 2, tokensIn: 1_007, tokensOut: 2 },
      { name: 'ada', ...ada },
    ]);
    for (const by of ['llm', 'pool'])
      expect(await used(`?by=${by}`, root)).to.deep.equal([
        { name: 'big', tasks: 1, completed: 1, tokensIn: 100, tokensOut: 1 },
        { name: 'small', tasks: 3, completed: 2, tokensIn: 12, tokensOut: 2 },
      ]);
    const tokens = await used('?by=token', root);
    expect(tokens.map(({ keyId: _, ...rest }) => rest)).to.deep.equal([
      { name: 'test', user: 'ada', ...ada },
      { name: 'test', user: 'bob', ...bob },
    ]);
    expect(tokens[0]?.keyId).to.match(/^[0-9a-f-]{36}$/);
  });

  it('tells a user of their own tasks alone, and refuses what is no question', async () => {
    expect((await used('', t.tokens.bob)).map(({ name }) => name)).to.deep.equal(['bob']);
    expect((await used('?by=llm', t.tokens.bob)).map(({ name }) => name)).to.deep.equal(['small']);
    expect((await t.call('GET /api/v1/usage', { token: null })).status).to.equal(401);
    for (const query of ['?by=prompt', '?hours=0', '?hours=99999', '?of=x'])
      expect((await t.call(`GET /api/v1/usage${query}`)).status, query).to.equal(400);
  });
});
