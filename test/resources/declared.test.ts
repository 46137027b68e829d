import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { edgeFixture, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';

type Document = { resource: string } & Record<string, unknown>;
interface Item {
  resource: string;
  name: string;
  outcome: string;
  changed: string[];
}

const llm: Document = {
  ...{ resource: 'llm', name: 'big', type: 'openai', model: 'm', url: 'http://backend.test/v1' },
  apiKeyRef: { secretRef: { name: 'openai', key: 'KEY' } },
};
const secret: Document = { resource: 'secret', name: 'openai', data: { KEY: 'sk-0123456789' } };
const pool: Document = { resource: 'pool', poolKey: 'big', allowed: ['bob', 'ada'] };
const project = (name: string, more: object = {}): Document => ({ resource: 'project', name, ...more });

describe('apply: every kind, sets, prune, delete', function () {
  this.timeout(60_000);
  let t: EdgeFixture;
  beforeEach(async () => (t = await edgeFixture()));
  afterEach(() => t.close());

  const apply = (documents: readonly Document[], { body = {}, ...options }: Call & { body?: object } = {}) =>
    t.call('POST /api/v1/apply', { token: t.tokens.root, ...options, body: { documents, ...body } });
  const remove = (documents: readonly Document[], body: object = {}, token = t.tokens.root) =>
    t.call('POST /api/v1/apply/delete', { token, body: { documents, ...body } });
  const faultsOf = (answer: Answer): string[] => {
    expect(answer.status, answer.text).to.equal(200);
    return (answer.json as { items: Item[] }).items.map(({ resource, name, outcome, changed }) =>
      outcome === 'changed'
        ? `${resource}/${name} changed ${changed.join()}`
        : `${resource}/${name} ${outcome}`,
    );
  };
  const faults = ({ json, text }: Answer): string[] => {
    expect(json, text).to.have.property('code');
    return ((json as { details?: { path: string; message: string }[] }).details ?? []).map(
      ({ path, message }) => `${path}: ${message}`,
    );
  };
  const counted = async (table: string): Promise<number> => {
    const [row] = await t.connection.db(table).count<{ count: string }[]>('* as count');
    return Number(row?.count);
  };

  it('takes public llms, pools and members of groups, and says unchanged the second time, with no row and no event', async () => {
    const group: Document = { resource: 'group', name: 'gpu', members: ['bob', 'ada', 'bob'] };
    const all = [pool, llm, group, secret];
    expect(faultsOf(await apply(all))).to.deep.equal([
      ...['pool/big changed allowed', 'llm/big created', 'group/gpu created', 'secret/openai created'],
    ]);
    const seen = await t.call('GET /api/v1/pools/big', { token: t.tokens.root });
    expect(seen.json).to.have.deep.property('allowed', ['ada', 'bob']);
    expect((await t.call('GET /api/v1/pools/big')).json, 'to others').not.to.have.property('allowed');
    const events: string[] = [];
    t.bus.on('registry.written', ({ resource }) => events.push(resource));
    const before = await counted('audit');
    expect(faultsOf(await apply(all)).map((line) => line.split(' ')[1])).to.deep.equal(
      Array(4).fill('unchanged'),
    );
    expect([events, (await counted('audit')) - before]).to.deep.equal([[], 0]);
    expect(
      faultsOf(
        await apply([
          { ...llm, tier: 'fast' },
          { ...group, members: ['ada'] },
        ]),
      ),
    ).to.deep.equal([...['llm/big changed tier', 'group/gpu changed members']]);
    // Who says nothing of members says nothing about them.
    expect(faultsOf(await apply([{ resource: 'group', name: 'gpu' }]))).to.deep.equal([
      'group/gpu unchanged',
    ]);
    const { json } = await t.call('GET /api/v1/groups/gpu', { token: t.tokens.root });
    expect(json).to.have.deep.property('members', ['ada']);
  });

  it('leaves alone what a worker publishes, and says why of what no document makes', async () => {
    const providers = [{ name: 'desk', type: 'openai', model: 'm' }];
    const id = randomUUID();
    const body = { providerSessionId: id, instanceId: id, transports: ['sse'], providers };
    expect((await t.call('POST /api/v1/llms/_provider-register', { body })).status).to.equal(201);
    for (const document of [
      { ...llm, name: 'desk', apiKeyRef: null },
      { resource: 'llm', name: 'x', kind: 'virtual' },
    ]) {
      const refused = await apply([document]);
      expect([refused.status, refused.json])
        .to.deep.include(409)
        .and.to.have.nested.property('[1].code', 'llm_published');
    }
    for (const resource of ['task', 'session', 'token', 'thread', 'audit']) {
      const refused = await apply([{ resource, name: 'x' }]);
      expect([refused.status, refused.json])
        .to.deep.include(409)
        .and.to.have.nested.property('[1].code', 'not_appliable');
      expect(faults(refused)[0]).to.match(/^documents\.0\.resource: .*document/);
    }
  });

  it('tells every fault of every document, whether it was read or not, and none that only follows', async () => {
    const documents: Document[] = [
      ...Array.from({ length: 46 }, (_, n) => project(`p${n}`)),
      { ...llm, name: 'Not A Name' },
      { resource: 'prompt', name: 'tone', project: 'wrong', content: 'x' },
      project('wrong', { colour: 'red' }),
      { resource: 'user', name: 'admin', enabled: false },
      { resource: 'user', name: 'root', enabled: false },
    ];
    const dry = await apply(documents, { body: { dryRun: true } });
    const real = await apply(documents);
    expect(real.status).to.equal(400);
    const paths = faults(real).map((fault) => fault.split(':')[0]);
    expect(paths).to.have.members(['documents.46.name', 'documents.48.colour', 'documents.50']);
    expect(faults(real).join())
      .to.include('is not a field here')
      .and.to.match(/documents\.50: .*everything/i);
    expect(faults(dry)).to.deep.equal(faults(real));
    expect((await t.call('GET /api/v1/projects', { token: t.tokens.root })).json).to.have.deep.property(
      'items',
      [],
    );
  });

  it('of fifty with the last one wrong does nothing, in whatever way it is wrong, and a dry run says the same before', async () => {
    const rbac = (name: string, more: object): Document => ({ resource: 'rbac', name, ...more });
    const writers = {
      subjects: [{ kind: 'user', name: 'bob' }],
      bindings: [{ role: 'create', resource: 'rbac' }],
    };
    await apply([
      rbac('writers', writers),
      { ...llm, apiKeyRef: null },
      { resource: 'user', name: 'admin', enabled: false },
    ]);
    const schema: Document = { ...llm, name: 'Not A Name' };
    const clash: Document = { resource: 'agent', name: 'big', llm: 'big' };
    const lastAdmin: Document = { resource: 'user', name: 'root', enabled: false };
    const escalation = rbac('mine', { ...writers, operations: ['reveal'] });
    const many = Array.from({ length: 49 }, (_, n) => project(`p${n}`));
    const state = async (): Promise<unknown> =>
      Promise.all([
        ...['projects', 'llms', 'agents', 'rbac', 'managed', 'applySets'].map(counted),
        t.connection.db('users').orderBy('id').select('name', 'enabled', 'revision'),
      ]);
    const before = await state();
    const { root, bob } = t.tokens;
    for (const [wrong, token, status, code] of [
      [[schema], root, 400, 'invalid_request'],
      [[clash], root, 409, 'name_taken'],
      [[lastAdmin], root, 409, 'last_admin'],
      [[escalation], bob, 403, 'escalation'],
      [[schema, clash, lastAdmin], root, 400, 'invalid_request'],
      [[schema, clash, escalation], bob, 400, 'invalid_request'],
    ] as const) {
      const documents = [...many, ...wrong];
      const [dry, real] = [
        await apply(documents, { token, body: { dryRun: true, set: 'infra' } }),
        await apply(documents, { token, body: { set: 'infra' } }),
      ];
      expect([real.status, real.json], real.text)
        .to.deep.include(status)
        .and.to.have.nested.property('[1].code', code);
      const places = faults(real).map((fault) => /^documents\.\d+/.exec(fault)?.[0]);
      expect(places, real.text).to.have.members(wrong.map((_, at) => `documents.${49 + at}`));
      const { requestId: _d, ...before } = dry.json as { requestId: string };
      const { requestId: _r, ...after } = real.json as { requestId: string };
      expect([dry.status, before]).to.deep.equal([real.status, after]);
    }
    expect(await state()).to.deep.equal(before);
  });

  it('makes many with few questions, as each would be made by itself; those that are there are changed', async () => {
    const n = 30;
    const each = (make: (at: number) => Document): Document[] =>
      Array.from({ length: n }, (_, at) => make(at));
    const many = [
      ...each((at) => ({ resource: 'prompt', name: `n${at}`, project: `p${at}`, content: 'x' })),
      ...each((at) => ({ resource: 'prompt', name: 'tone', project: `p${at}`, content: 'x' })),
      ...each((at) => project(`p${at}`, { description: `Of ${at}` })),
      ...each((at) => ({ resource: 'group', name: `g${at}`, members: [`m${at}`] })),
      ...each((at) => ({ resource: 'user', name: `m${at}` })),
    ];
    await apply([project('p7'), project('p8', { description: 'Of 8' })]);
    const before = await counted('audit');
    let asked = 0;
    t.connection.db.on('query', () => (asked += 1));
    const outcomes = faultsOf(await apply(many));
    expect(outcomes.filter((line) => !line.endsWith(' created'))).to.deep.equal([
      'project/p7 changed description',
      'project/p8 unchanged',
    ]);
    expect(outcomes.map((line) => line.split(' ')[0])).to.deep.equal(
      many.map(({ resource, name }) => `${resource}/${String(name)}`),
    );
    expect((await counted('audit')) - before, 'each is told of').to.equal(many.length - 1);
    // Those of one name in several projects are looked for one by one, and a group's members are its own.
    expect(asked).to.be.below(n * (7 + 8 + 2));
    expect(new Set(faultsOf(await apply(many)).map((line) => line.split(' ')[1]))).to.deep.equal(
      new Set(['unchanged']),
    );
  });

  it('is about a revision only where it is to be, passes over what is no more, and what it is told to', async () => {
    expect(faultsOf(await apply([project('a')]))).to.deep.equal(['project/a created']);
    const old = project('a', { revision: 7, description: 'x' });
    expect((await apply([old], { body: { matchRevision: true } })).status).to.equal(412);
    expect(faultsOf(await apply([old]))).to.deep.equal(['project/a changed description']);
    const retired = await apply([project('a', { description: 'x', proxyMode: 'direct-of-a-secret' })]);
    expect(faultsOf(retired)).to.deep.equal(['project/a unchanged']);
    expect(retired.text)
      .to.include('of a project is no more, and is passed over')
      .and.not.to.include('direct-of');
    const odd = project('a', { description: 'x', colour: 'red' });
    expect((await apply([odd])).status).to.equal(400);
    expect((await apply([odd], { body: { validate: 'warn' } })).json).to.have.nested.property('warnings[0]');
    expect((await apply([odd], { body: { validate: 'ignore' } })).json).to.have.deep.property('warnings', []);
  });

  it('passes over what is no more at the plain routes too, with one warning, and says nothing of what it was', async () => {
    const retired = { proxyMode: 'direct-of-a-secret' };
    const as = { token: t.tokens.root };
    const calls: [string, string, object][] = [
      ['POST', 'projects', { name: 'a', ...retired }],
      ['PUT', 'projects/a', { description: 'x', ...retired }],
      ['PATCH', 'projects/a', { description: 'y', ...retired }],
      ['POST', 'servers', { name: 's', ...retired }],
      ['PATCH', 'servers/s', { description: 'y', ...retired }],
    ];
    for (const [method, path, body] of calls) {
      const { status, json, text } = await t.call(`${method} /api/v1/${path}`, { ...as, body });
      expect([200, 201], `${method} ${path}: ${text}`).to.include(status);
      expect((json as { warnings?: string[] }).warnings, `${method} ${path}`).to.have.length(1);
      expect(text)
        .to.match(/proxyMode.* is no more, and is passed over/)
        .and.not.to.include('direct-of');
    }
    const { json } = await t.call('PATCH /api/v1/projects/a', { ...as, body: { description: 'z' } });
    expect(json).not.to.have.property('warnings');
    expect(
      (await t.call('POST /api/v1/prompts', { ...as, body: { name: 'p', content: 'x', ...retired } })).status,
    ).to.equal(400);
  });

  it('under a key does once what is sent twice, and answers it as it was', async () => {
    const headers = { 'idempotency-key': 'one' };
    const [first, second] = await Promise.all([
      apply([project('a')], { headers }),
      apply([project('a')], { headers }),
    ]);
    expect([faultsOf(first), faultsOf(second)]).to.deep.equal([['project/a created'], ['project/a created']]);
    expect([first, second].filter((one) => one.headers.get('idempotency-replayed'))).to.have.length(1);
    await remove([project('a')]);
    expect(faultsOf(await apply([project('a')], { headers })), 'nothing is done').to.deep.equal([
      'project/a created',
    ]);
    expect((await t.call('GET /api/v1/projects/a', { token: t.tokens.root })).status).to.equal(404);
    expect((await apply([project('b')], { headers })).json).to.have.property('code', 'idempotency_mismatch');
    expect(faultsOf(await apply([project('a')], { headers: { 'idempotency-key': 'two' } }))).to.deep.equal([
      'project/a created',
    ]);
    for (let n = 0; n < 60; n++) await apply([project('a')], { headers: { 'idempotency-key': `n${n}` } });
    expect(await counted('applyKeys')).to.equal(50);
  });

  it('deletes what documents name, what refers to others first, all of it or nothing', async () => {
    const documents = [
      project('a'),
      secret,
      llm,
      { resource: 'agent', name: 'critic', llm: 'big', project: 'a' },
      { resource: 'prompt', name: 'tone', agent: 'critic', content: 'Be brief.' },
    ];
    await apply(documents);
    expect(faults(await remove([llm, project('nobody')]))).to.have.length(2);
    expect((await remove([project('a')], {}, t.tokens.bob)).status, 'not seen').to.equal(404);
    expect(faultsOf(await remove(documents, { dryRun: true }))).to.have.length(5);
    expect((await t.call('GET /api/v1/agents/critic', { token: t.tokens.root })).status).to.equal(200);
    // What names each is enough, whatever else stands there.
    const bare = documents.map((one): Document => ({ ...one, nonsense: 1 }));
    expect(faultsOf(await remove([...bare, project('nobody')], { ignoreNotFound: true }))).to.deep.equal([
      ...['project/a deleted', 'secret/openai deleted', 'llm/big deleted', 'agent/critic deleted'],
      ...['prompt/tone deleted', 'project/nobody absent'],
    ]);
    expect((await remove([project('a')])).status).to.equal(404);
  });

  it('prunes what a set applied and lists no more: that, and nothing else', async () => {
    const set = { set: 'infra' };
    const prune = (more: object = {}) => ({ ...set, prune: more });
    const names = ['a', 'b', 'c', 'd', 'e'].map((name) => project(name));
    await apply([project('nobodys')]);
    await apply([project('theirs')], { body: { set: 'theirs' } });
    await apply([...names, { resource: 'group', name: 'gpu' }], { body: set });
    expect((await apply(names, { body: { prune: {} } })).status, 'no set').to.equal(400);
    expect((await apply([], { body: prune() })).status, 'empty').to.equal(400);
    const other = await apply([project('a', { description: 'x' })], { body: { set: 'other' } });
    expect([other.status, other.json])
      .to.deep.include(409)
      .and.to.have.nested.property('[1].code', 'in_other_set');
    expect(
      (await apply([project('z')], { body: set, token: t.tokens.bob })).status,
      'another’s set',
    ).to.equal(403);
    expect(faultsOf(await apply(names.slice(1), { body: prune() })).at(-1)).to.equal('project/a pruned');
    // The group is listed no more, and stays: it is of a kind that is to be named.
    expect((await t.call('GET /api/v1/groups/gpu', { token: t.tokens.root })).status).to.equal(200);
    expect(faultsOf(await apply([project('b')], { body: { ...prune(), dryRun: true } }))).to.have.length(4);
    const much = await apply([project('b')], { body: prune() });
    expect([much.status, much.text]).to.satisfy(
      ([status, text]: [number, string]) => status === 409 && text.includes('3 of the 5'),
    );
    expect((await apply([project('b')], { body: prune({ confirm: 2 }) })).status).to.equal(409);
    expect(faultsOf(await apply([project('b')], { body: prune({ confirm: 3 }) }))).to.have.length(4);
    expect(
      faultsOf(
        await apply([], { body: prune({ allowEmpty: true, confirm: 2, kinds: ['group', 'project'] }) }),
      ),
    ).to.have.members([...['project/b pruned', 'group/gpu pruned']]);
    expect(
      [await counted('applySets'), await counted('managed')],
      'nothing is left of it but the other set',
    ).to.deep.equal([1, 1]);
    for (const name of ['nobodys', 'theirs'])
      expect((await t.call(`GET /api/v1/projects/${name}`, { token: t.tokens.root })).status).to.equal(200);
  });

  it('prunes nothing that a document still says, and says which', async () => {
    const set = { set: 'infra' };
    const critic = (more: object): Document => ({ resource: 'agent', name: 'critic', llm: 'big', ...more });
    const stern: Document = { resource: 'personality', name: 'stern', agent: 'critic' };
    const others = [{ ...llm, apiKeyRef: null }, project('b'), project('c')];
    const whole = critic({ defaultPersonality: 'stern', project: 'a' });
    await apply([...others, project('a'), stern, whole], { body: set });
    const body = { ...set, prune: {} };
    for (const kept of [[project('a')], [stern]]) {
      const refused = await apply([...others, ...kept, whole], { body });
      expect([refused.status, faults(refused).map((fault) => fault.split(':')[0])]).to.deep.equal([
        ...[kept[0] === stern ? 400 : 409, [`documents.4${kept[0] === stern ? '.project' : ''}`]],
      ]);
    }
    expect((await apply([...others, project('a'), stern, whole], { body: set })).text).not.to.match(
      /"outcome":"(changed|created)"/,
    );
    const done = faultsOf(await apply([...others, critic({})], { body }));
    expect(done.slice(-2)).to.have.members(['personality/stern pruned', 'project/a pruned']);
    expect(
      new Set(
        faultsOf(await apply([...others, critic({})], { body: set })).map((line) => line.split(' ')[1]),
      ),
    ).to.deep.equal(new Set(['unchanged']));
    const lacks = await apply([critic({ defaultPersonality: 'nobody' })]);
    expect(faults(lacks)).to.deep.equal([
      "defaultPersonality: the agent 'critic' has no personality of that name; make it first, or leave this out",
    ]);
  });

  it('makes nobody an admin by a document, whatever it is about', async () => {
    const grant = { role: 'create', resource: 'rbac' };
    await apply([
      {
        resource: 'rbac',
        name: 'writers',
        subjects: [{ kind: 'user', name: 'bob' }],
        bindings: [grant, { role: 'edit', resource: 'group' }],
      },
    ]);
    const everything = { bindings: [{ role: 'edit', resource: '*' }], operations: ['reveal'] };
    const me = [{ kind: 'user', name: 'bob' }];
    const refusedWith = async (document: Document, set: string, prune?: object): Promise<string> => {
      const { status, json } = await apply([document], {
        token: t.tokens.bob,
        body: { set, ...(prune && { prune }) },
      });
      return `${status} ${(json as { code?: string }).code ?? 'done'}`;
    };
    const refusals: [Document, string][] = [
      [{ resource: 'rbac', name: 'mine', subjects: me, ...everything }, '403 escalation'],
      [{ resource: 'rbac', name: 'writers', subjects: me, ...everything }, '403 forbidden'],
      [{ resource: 'rbac', name: 'admins', subjects: me }, '403 forbidden'],
      [{ resource: 'group', name: 'admins', members: ['bob', 'root'] }, '403 escalation'],
      [{ resource: 'user', name: 'root', enabled: false }, '403 forbidden'],
      [{ resource: 'user', name: 'other' }, '403 forbidden'],
      [{ resource: 'secret', name: 'openai', data: { KEY: 'x' } }, '403 forbidden'],
      [{ ...llm, apiKeyRef: { secretRef: { name: 'openai', key: 'KEY' } } }, '403 forbidden'],
      [{ resource: 'token', name: 'x' }, '409 not_appliable'],
    ];
    for (const [document, says] of refusals)
      expect(
        await refusedWith(document, `s${randomUUID().slice(0, 8)}`),
        `${document.resource}/${String(document['name'])}`,
      ).to.equal(says);
    expect(await counted('applySets')).to.equal(0);
    // Nor by what a set holds: neither as its own, nor by having it taken away.
    const theirs: Document = { resource: 'rbac', name: 'theirs', subjects: me, bindings: [grant] };
    await apply([theirs, { resource: 'group', name: 'empty' }], { body: { set: 'infra' } });
    const pruning = { kinds: ['rbac', 'group'], confirm: 2, allowEmpty: true };
    expect(await refusedWith({ ...theirs, ...everything }, 'infra', pruning)).to.equal('403 forbidden');
    expect(await refusedWith(theirs, 'mine')).to.equal('403 forbidden');
    const { json } = await t.call('GET /api/v1/whoami', { token: t.tokens.bob });
    expect(json).to.have.property('binding', 'user');
    expect([await counted('applySets'), await counted('managed')]).to.deep.equal([1, 2]);
    // A project's copy takes what he may not see as little as anything else.
    await apply([
      { resource: 'project', name: 'shop' },
      { resource: 'prompt', name: 'tone', project: 'shop', content: 'x' },
    ]);
    const copied = await t.call('POST /api/v1/projects', {
      token: t.tokens.bob,
      body: { name: 'shop-2', from: 'shop' },
    });
    expect(copied.status).to.be.within(400, 404);
    expect((await t.call('GET /api/v1/projects/shop-2', { token: t.tokens.root })).status).to.equal(404);
  });
});
