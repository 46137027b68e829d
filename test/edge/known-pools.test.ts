import { expect } from 'chai';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { forUser, may } from '../support/identity.ts';

describe('a pool that an edge has seen served', () => {
  let t: EdgeFixture;
  let asked = 0;
  before(async () => {
    t = await edgeFixture({ MCPCTL_POOL_CACHE_MS: '600000' });
    const { names } = t.deps.registry;
    const resolve = names.resolve.bind(names);
    names.resolve = (name) => {
      asked += 1;
      return resolve(name);
    };
  });
  after(() => t.close());

  const register = async (name: string): Promise<string> => {
    const body = { transports: ['redis'], providers: [{ name, type: 'openai', model: 'm' }] };
    const { json } = await t.call('POST /api/v1/llms/_provider-register', { body });
    return (json as { providerSessionId: string }).providerSessionId;
  };
  /** @returns 202: somebody is there; 503: nobody; 404: no such name. */
  const call = async (name: string): Promise<number> => {
    const body = { messages: [{ role: 'user', content: 'hi' }] };
    const headers = { prefer: 'respond-async' };
    return (await t.call(`POST /api/v1/llms/${name}/infer`, { body, headers })).status;
  };

  it('is not looked up for each call', async () => {
    await register('busy');
    expect(await call('busy')).to.equal(202);
    const before = asked;
    for (let n = 0; n < 3; n++) expect(await call('busy')).to.equal(202);
    expect(asked).to.equal(before);
  });

  it('is not forgotten for what leads to no pool', async () => {
    await register('steady');
    expect(await call('steady')).to.equal(202);
    const before = asked;
    expect((await t.call('POST /api/v1/projects', { body: { name: 'shop' } })).status).to.equal(201);
    expect(await call('steady')).to.equal(202);
    expect(asked).to.equal(before);
  });

  it('is believed only when it says yes', async () => {
    expect(await call('later')).to.equal(404);
    await t.registry.llms.create(
      { name: 'later', type: 'openai', model: 'm', url: 'http://backend.test/v1' },
      { userId: t.ada.id, tokenId: null, overrules: false },
    );
    // Nobody serves it yet: each call asks anew.
    expect(await call('later')).to.equal(202);
    const before = asked;
    expect(await call('later')).to.equal(202);
    expect(asked).to.equal(before + 1);
  });

  it('is forgotten with whatever is written through this edge', async () => {
    const session = await register('leaves');
    expect(await call('leaves')).to.equal(202);
    await t.call('POST /api/v1/llms/_provider-goodbye', { body: { providerSessionId: session } });
    const before = asked;
    await call('leaves');
    expect(asked).to.equal(before + 1);
    expect((await t.call('DELETE /api/v1/llms/leaves', { token: t.tokens.root })).status).to.equal(204);
    expect(await call('leaves')).to.equal(404);
  });

  it('is not looked into for who may not know of it, and what others know of it stays', async () => {
    await register('hidden');
    expect(await call('hidden')).to.equal(202);
    const root = { token: t.tokens.root };
    const hers = { name: 'hers', ...forUser('ada'), ...may('run:llm:hidden') };
    expect((await t.call('POST /api/v1/rbac', { ...root, body: hers })).status).to.equal(201);
    expect((await t.call('DELETE /api/v1/rbac/everyone', root)).status).to.equal(204);
    let looked = 0;
    const { liveness } = t.deps;
    const loadPool = liveness.loadPool.bind(liveness);
    liveness.loadPool = (key) => {
      looked += 1;
      return loadPool(key);
    };
    const before = asked;
    for (const what of ['POST /api/v1/llms/hidden/infer', 'GET /api/v1/llms/hidden/explain']) {
      const body = what.startsWith('POST') ? { messages: [{ role: 'user', content: 'hi' }] } : undefined;
      const answer = await t.call(what, { token: t.tokens.bob, ...(body && { body }) });
      expect(answer.status, what).to.equal(404);
    }
    expect([asked, looked]).to.deep.equal([before + 2, 0]);
    expect(await call('hidden'), 'who may').to.equal(202);
    expect([asked, looked], 'remembered').to.deep.equal([before + 2, 0]);
  });
});
