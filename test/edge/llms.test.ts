import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { edgeFixture, lapse, type EdgeFixture } from '../support/edge.ts';

interface Llm {
  name: string;
  status: string;
  inactiveReason: string | null;
  servedBy: number;
  url: string | null;
  revision: number;
  pool?: { key: string; size: number; activeCount: number };
}
interface List {
  items: Llm[];
  next: string | null;
}

const gpt = { name: 'gpt', type: 'openai', model: 'gpt-9', url: 'http://backend.test/v1' };

describe('the llm routes', () => {
  let t: EdgeFixture;
  const asRoot = () => ({ token: t.tokens.root });
  const publish = async (name: string, more: Record<string, unknown> = {}): Promise<string> => {
    const id = randomUUID();
    const answer = await t.call('POST /api/v1/llms/_provider-register', {
      body: {
        providerSessionId: id,
        instanceId: randomUUID(),
        transports: ['redis'],
        providers: [{ name, type: 'openai', model: 'tiny', ...more }],
      },
    });
    expect(answer.status, answer.text).to.equal(201);
    return id;
  };

  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());
  afterEach(() => t.connection.db.raw('delete from llms; delete from names; delete from pools'));

  it('makes, shows, replaces, changes and deletes a public llm', async () => {
    const made = await t.call('POST /api/v1/llms', {
      ...asRoot(),
      body: { ...gpt, aliases: ['GPT/9:latest'] },
    });
    expect(made.status).to.equal(201);
    expect(made.headers.get('location')).to.equal('/api/v1/llms/gpt');
    const shown = await t.call('GET /api/v1/llms/gpt', asRoot());
    const view = shown.json as Llm;
    expect(shown.headers.get('etag')).to.equal('"1"');
    expect([view.status, view.servedBy, view.pool]).to.deep.equal([
      'active',
      0,
      { key: 'gpt', size: 1, activeCount: 0 },
    ]);
    const { name: _name, ...rest } = gpt;
    const same = { ...rest, aliases: ['GPT/9:latest'] };
    expect(
      ((await t.call('PUT /api/v1/llms/gpt', { ...asRoot(), body: same })).json as Llm).revision,
    ).to.equal(1);
    const patched = await t.call('PATCH /api/v1/llms/gpt', { ...asRoot(), body: { tier: 'fast' } });
    expect((patched.json as Llm).revision).to.equal(2);
    expect((await t.call('DELETE /api/v1/llms/gpt', asRoot())).status).to.equal(204);
    expect((await t.call('GET /api/v1/llms/gpt')).status).to.equal(404);
    // The alias is free again.
    expect(
      (await t.call('POST /api/v1/llms', { ...asRoot(), body: { ...gpt, aliases: ['GPT/9:latest'] } }))
        .status,
    ).to.equal(201);
  });

  it('makes with PUT what is not there', async () => {
    const { name: _name, ...rest } = gpt;
    expect((await t.call('PUT /api/v1/llms/new', { ...asRoot(), body: rest })).status).to.equal(201);
    expect((await t.call('PUT /api/v1/llms/new', { ...asRoot(), body: rest })).status).to.equal(200);
  });

  it('refuses a stale If-Match', async () => {
    await t.call('POST /api/v1/llms', { ...asRoot(), body: gpt });
    const stale = { ...asRoot(), headers: { 'if-match': '"7"' } };
    const refused = await t.call('PATCH /api/v1/llms/gpt', { ...stale, body: { tier: 'x' } });
    expect([refused.status, (refused.json as { code: string }).code]).to.deep.equal([412, 'stale_revision']);
    expect((await t.call('DELETE /api/v1/llms/gpt', stale)).status).to.equal(412);
    const current = { ...asRoot(), headers: { 'if-match': '"1"' }, body: { tier: 'x' } };
    expect((await t.call('PATCH /api/v1/llms/gpt', current)).status).to.equal(200);
  });

  it('refuses a name that is taken, as a name or as an alias', async () => {
    await t.call('POST /api/v1/llms', { ...asRoot(), body: { ...gpt, aliases: ['nick'] } });
    for (const body of [gpt, { ...gpt, name: 'nick' }, { ...gpt, name: 'other', aliases: ['gpt'] }]) {
      const answer = await t.call('POST /api/v1/llms', { ...asRoot(), body });
      expect([answer.status, (answer.json as { code: string }).code]).to.deep.equal([409, 'name_taken']);
    }
    expect((await t.call('GET /api/v1/llms/other')).status).to.equal(404);
  });

  it('hides the address of a backend from those who may not change it', async () => {
    await t.call('POST /api/v1/llms', { ...asRoot(), body: gpt });
    expect(((await t.call('GET /api/v1/llms/gpt')).json as Llm).url).to.equal(null);
    expect(((await t.call('GET /api/v1/llms/gpt', asRoot())).json as Llm).url).to.equal(gpt.url);
    expect(((await t.call('GET /api/v1/llms')).json as List).items[0]?.url).to.equal(null);
  });

  it('lets only admins make public llms', async () => {
    const answer = await t.call('POST /api/v1/llms', { body: gpt });
    expect([answer.status, (answer.json as { code: string }).code]).to.deep.equal([403, 'forbidden']);
  });

  it("keeps an admin's token that is bound to pools inside them", async () => {
    const made = await t.call('POST /api/v1/tokens', {
      ...asRoot(),
      body: { name: `b${t.schema}`, preset: 'full', pools: ['team'] },
    });
    const { token } = made.json as { token: string };
    await t.call('POST /api/v1/llms', { ...asRoot(), body: gpt });
    const { name: _name, ...rest } = gpt;
    const moved = { ...rest, poolName: 'team' };
    // What it may not see is not there, but that its name is taken; what it would make elsewhere is forbidden.
    const outside: [string, number, unknown?][] = [
      ['POST /api/v1/llms', 403, { ...gpt, name: 'other' }],
      ['PUT /api/v1/llms/gpt', 409, moved],
      ['PATCH /api/v1/llms/gpt', 404, { tier: 'x' }],
      ['DELETE /api/v1/llms/gpt', 404],
      ['POST /api/v1/pools/gpt/allow', 404, { user: 'bob' }],
    ];
    for (const [what, status, body] of outside) {
      expect([what, (await t.call(what, { token, body })).status]).to.deep.equal([what, status]);
    }
    const inside = await t.call('POST /api/v1/llms', {
      token,
      body: { ...gpt, name: 'other', poolName: 'team' },
    });
    expect(inside.status).to.equal(201);
  });

  it('offers close names for one that is not there', async () => {
    await publish('qwen-coder');
    const answer = await t.call('GET /api/v1/llms/qwen-codr');
    expect(answer.status).to.equal(404);
    expect((answer.json as { error: string }).error).to.include('Did you mean qwen-coder?');
  });

  it('leaves a virtual llm to the worker that publishes it', async () => {
    const session = await publish('mine');
    const { name: _name, ...rest } = gpt;
    for (const [what, body] of [
      ['PUT', rest],
      ['PATCH', { tier: 'x' }],
      ['DELETE', undefined],
    ] as const) {
      const answer = await t.call(`${what} /api/v1/llms/mine`, { ...asRoot(), body });
      expect([what, answer.status, (answer.json as { code: string }).code]).to.deep.equal([
        what,
        409,
        'llm_published',
      ]);
    }
    await lapse(t, session);
    expect((await t.call('DELETE /api/v1/llms/mine')).status).to.equal(204);
  });

  it('reads a virtual row inactive as soon as its session is gone, before any sweep', async () => {
    const session = await publish('mine');
    expect(((await t.call('GET /api/v1/llms/mine')).json as Llm).pool?.activeCount).to.equal(1);
    await lapse(t, session);
    const gone = (await t.call('GET /api/v1/llms/mine')).json as Llm;
    expect([gone.status, gone.inactiveReason, gone.pool?.activeCount]).to.deep.equal([
      'inactive',
      'publisher_gone',
      0,
    ]);
    const listed = (await t.call('GET /api/v1/llms?status=inactive')).json as List;
    expect(listed.items.map((llm) => llm.name)).to.deep.equal(['mine']);
    expect(((await t.call('GET /api/v1/llms?status=active')).json as List).items).to.deep.equal([]);
  });

  it('asks Postgres who is live while Redis has just come back empty', async () => {
    const session = await publish('mine');
    await lapse(t, session);
    const { presence } = t.deps;
    const original = presence.sessions.bind(presence);
    presence.sessions = async (ids) => ({ ...(await original(ids)), fresh: true });
    try {
      expect(((await t.call('GET /api/v1/llms/mine')).json as Llm).status).to.equal('active');
      await t.connection.db.raw(`update sessions set last_heartbeat_at = now() - interval '91 s'`);
      expect(((await t.call('GET /api/v1/llms/mine')).json as Llm).status).to.equal('inactive');
    } finally {
      presence.sessions = original;
    }
  });

  it('pages through a filtered list without losing or repeating one', async () => {
    for (const n of [1, 2, 3, 4, 5]) await publish(`a${n}`, { poolName: n % 2 ? 'odd' : 'even' });
    const sessions = (await t.call('GET /api/v1/llms?pool=odd&limit=2')).json as List;
    expect(sessions.items.map((llm) => llm.name)).to.deep.equal(['a1', 'a3']);
    const rest = (await t.call(`GET /api/v1/llms?pool=odd&limit=2&after=${sessions.next}`)).json as List;
    expect([rest.items.map((llm) => llm.name), rest.next]).to.deep.equal([['a5'], null]);
    const seen: string[] = [];
    for (let next: string | null = ''; next !== null;) {
      const page: List = (await t.call(`GET /api/v1/llms?status=active&limit=2${next && `&after=${next}`}`))
        .json as List;
      seen.push(...page.items.map((llm) => llm.name));
      next = page.next;
    }
    expect(seen).to.deep.equal(['a1', 'a2', 'a3', 'a4', 'a5']);
  });

  it('shows the members of a pool and what they hold', async () => {
    const session = await publish('m1', { poolName: 'pool' });
    await publish('m2', { poolName: 'pool' });
    await lapse(t, session);
    const members = (await t.call('GET /api/v1/llms/m1/members')).json;
    expect(members).to.deep.include({ poolKey: 'pool', size: 2, activeCount: 1 });
    const pools = (await t.call('GET /api/v1/pools')).json as {
      items: { poolKey: string; pending: number }[];
    };
    expect(pools.items.map((pool) => [pool.poolKey, pool.pending])).to.deep.equal([['pool', 0]]);
    expect((await t.call('GET /api/v1/pools/pool')).status).to.equal(200);
    expect((await t.call('GET /api/v1/pools/nobody')).status).to.equal(404);
  });

  it('tells of every write, refused ones too', async () => {
    const seen: string[] = [];
    const off = t.bus.on('registry.written', (e) =>
      seen.push(`${e.actor} ${e.verb} ${e.resource} ${e.name} ${e.outcome}`),
    );
    await t.call('POST /api/v1/llms', { ...asRoot(), body: gpt });
    await t.call('POST /api/v1/llms', { ...asRoot(), body: gpt });
    await t.call('DELETE /api/v1/llms/gpt', asRoot());
    off();
    expect(seen).to.deep.equal([
      'root create llm gpt ok',
      'root create llm gpt name_taken',
      'root delete llm gpt ok',
    ]);
  });
});
