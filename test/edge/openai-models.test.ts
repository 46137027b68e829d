import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { edgeFixture, lapse, type EdgeFixture } from '../support/edge.ts';

interface List {
  data: { id: string; context_length?: number; max_model_len?: number; type?: string }[];
}

describe('/v1/models', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  let session: string;
  const ids = async (token = t.tokens.ada): Promise<string[]> =>
    ((await t.call('GET /v1/models', { token })).json as List).data.map(({ id }) => id);
  const register = async (providers: object[]): Promise<void> => {
    const body = { providerSessionId: session, instanceId: randomUUID(), transports: ['sse'], providers };
    const made = await t.call('POST /api/v1/llms/_provider-register', { body });
    expect(made.status, made.text).to.equal(201);
  };
  const offer = (name: string, more: object = {}): object => ({ name, type: 'openai', model: 'm', ...more });

  before(async () => {
    t = await edgeFixture();
    session = randomUUID();
    await register([
      offer('desk', { poolName: 'house', capabilities: { contextLength: 4096 } }),
      offer('sleepy', { initialStatus: 'hibernating' }),
    ]);
    const llm = { type: 'openai', model: 'm', url: 'http://backend.test/v1' };
    const mine = { ...llm, name: 'cloud', poolName: 'house', aliases: ['qwen/qwen3:30b', 'claude-local'] };
    const bodies = [mine, { ...llm, name: 'unserved', aliases: ['nobody/serves:it'] }];
    for (const body of bodies) {
      const made = await t.call('POST /api/v1/llms', { token: t.tokens.root, body });
      expect(made.status, made.text).to.equal(201);
      await t.call('POST /api/v1/pools/house/allow', { body: { user: 'root' } });
    }
  });
  after(() => t.close());

  it('lists what is served or can be woken, and each name of a way to it', async () => {
    expect(await ids()).to.have.members(['desk', 'sleepy', 'cloud', 'qwen/qwen3:30b', 'claude-local']);
  });

  it('tells the context length under both names that clients read', async () => {
    const { data } = (await t.call('GET /v1/models')).json as List;
    expect(data.find(({ id }) => id === 'desk')).to.include({ context_length: 4096, max_model_len: 4096 });
    expect(data.find(({ id }) => id === 'sleepy')).to.not.have.property('context_length');
  });

  it('finds one by name, pool key and alias, whose slash and colon may be bare or not', async () => {
    const names = ['desk', 'house', 'sleepy', 'qwen/qwen3:30b', 'qwen%2Fqwen3%3A30b', 'qwen%2Fqwen3:30b'];
    for (const id of names) {
      const answer = await t.call(`GET /v1/models/${id}`);
      expect(answer.json, id).to.include({ id: decodeURIComponent(id), object: 'model' });
    }
  });

  it('finds nothing else', async () => {
    for (const id of ['unserved', 'nobody/serves:it', 'nothing', '%00', '*']) {
      const answer = await t.call(`GET /v1/models/${id}`);
      expect(answer.status, id).to.equal(404);
      expect(answer.json).to.have.nested.property('error.code').that.is.oneOf(['model_not_found']);
    }
  });

  it('shows Anthropic’s clients their own shape', async () => {
    const headers = { 'anthropic-version': '2023-06-01' };
    const { json } = await t.call('GET /v1/models', { headers });
    expect(json).to.include({ has_more: false }).and.to.have.keys('data', 'has_more', 'first_id', 'last_id');
    const { data } = json as List;
    expect(data.find(({ id }) => id === 'claude-local'))
      .to.include({ type: 'model' })
      .and.to.have.property('created_at');
    const one = await t.call('GET /v1/models/claude-local', { headers });
    expect(one.json).to.include({ type: 'model', id: 'claude-local', display_name: 'claude-local' });
    const none = await t.call('GET /v1/models/nothing', { headers });
    expect(none.json).to.have.nested.property('error.type', 'not_found_error');
  });

  it('shows a token that is bound to pools those alone', async () => {
    const made = await t.call('POST /api/v1/tokens', { body: { name: 'bound', pools: ['sleepy'] } });
    const { token } = made.json as { token: string };
    expect(await ids(token), made.text).to.deep.equal(['sleepy']);
    expect((await t.call('GET /v1/models/desk', { token })).status).to.equal(404);
  });

  it("lists everybody's, however many somebody else has, whose names come first", async () => {
    const ownerId = (await t.registry.users.ensure('many', 'admin')).id;
    const row = { kind: 'virtual', type: 'openai', model: 'm', status: 'hibernating', ownerId };
    const { db } = t.connection;
    await db('sessions').insert({ id: randomUUID(), ownerId, transport: 'sse' });
    const [own] = await db('sessions').where({ ownerId }).select<{ id: string }[]>('id');
    const providerSessionId = own?.id ?? '';
    await t.deps.presence.hold(providerSessionId, 'boot');
    await db.batchInsert(
      'llms',
      Array.from({ length: 2_000 }, (_, i) => ({
        ...row,
        providerSessionId,
        id: randomUUID(),
        name: `a${i}`,
      })),
    );
    expect(await ids())
      .to.include.members(['desk', 'sleepy', 'cloud'])
      .and.to.have.length(1_000);
    await db('llms').where({ ownerId }).delete();
  });

  it('of more llms than are shown finds those that one may run, however many others there are', async () => {
    const asked = { userId: t.bob.id, pools: null, limit: 1 };
    const namesOf = async (llms: string[], pools: string[]): Promise<string[]> =>
      (await t.registry.llms.callable({ ...asked, within: [{ llms, pools }] })).map(({ name }) => name);
    expect(await namesOf(['sleepy'], [])).to.deep.equal(['sleepy']);
    expect(await namesOf([], ['sleepy'])).to.deep.equal(['sleepy']);
    expect(await namesOf([], [])).to.deep.equal([]);
  });

  it('forgets what has gone', async () => {
    await lapse(t, session);
    expect(await ids()).to.deep.equal([]);
  });
});
