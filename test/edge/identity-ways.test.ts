import { expect } from 'chai';
import type { Knex } from 'knex';
import { startSession } from '../cli/session.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { untilBlocking } from '../support/system.ts';
import { ada, forGroup, forUser, identityCalls, may } from '../support/identity.ts';

describe('by what somebody may, and who may as another', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  beforeEach(async () => {
    t = await edgeFixture();
  });
  afterEach(() => t.close());
  const { api, answerOf, asAda, llm, rbac, narrow } = identityCalls(() => t);

  it('lets who may impersonate act as whom they cover, and never gain, change identity, or read what was said', async () => {
    await llm('alpha');
    const as = async (
      name: string,
      call: string,
      { body, token = t.tokens.root }: { body?: unknown; token?: string } = {},
    ) => {
      const [method = '', path = ''] = call.split(' ');
      const headers = { 'x-mcpctl-as': name };
      const {
        status,
        json,
        headers: answered,
      } = await t.call(`${method} /api/v1${path}`, { token, body, headers });
      const { code, user } = json as { code?: string; user?: string };
      return { said: [status, code ?? user ?? ''].join(' ').trim(), json, answered };
    };
    const me = await as('ada', 'GET /whoami');
    expect([me.said, me.answered.get('x-mcpctl-actor'), me.answered.get('x-mcpctl-as')]).to.deep.equal([
      '200 ada',
      'root',
      'ada',
    ]);
    const request = { messages: [{ role: 'user', content: 'a secret of ada' }] };
    const made = await as('ada', 'POST /tasks', { body: { llm: 'alpha', request } });
    const { id } = made.json as { id: string };
    expect((await t.registry.tasks.byId(id))?.ownerId).to.equal(t.ada.id);
    expect((await as('ada', 'GET /metrics')).said, 'what ada may not').to.match(/^40[34] /);
    for (const [call, body] of [
      ['POST /tokens', { name: 'x' }],
      ['POST /users', { name: 'x' }],
      ['POST /join-codes', { pools: ['x'] }],
      ['POST /join-requests', { code: 'BCDF-GHJK', answer: 'approve' }],
      ['POST /secrets/x/reveal', {}],
      ['POST /backup', { secrets: 'none' }],
      ['PUT /groups/admins/members/ada', undefined],
      ['DELETE /rbac/everyone', undefined],
      [
        'POST /llms/_provider-register',
        { transports: ['sse'], providers: [{ name: 'x', type: 'openai', model: 'm' }] },
      ],
    ] as const)
      for (const name of ['ada', 'root'])
        expect((await as(name, call, { body })).said, call).to.equal('403 forbidden');
    for (const name of ['', 'nobody', 'ada, ada', 'ADA'])
      expect((await as(name, 'GET /whoami')).said, name).to.match(
        /^(400 invalid_request|404 user_not_found)$/,
      );
    expect((await as('bob', 'GET /whoami', { token: t.tokens.ada })).said).to.equal('403 forbidden');
    await rbac('actors', { ...ada, operations: ['impersonate'] });
    expect((await as('bob', 'GET /whoami', { token: t.tokens.ada })).said).to.equal('200 bob');
    expect((await as('root', 'GET /whoami', { token: t.tokens.ada })).said).to.equal('403 escalation');
    const ofBob = await t.call('POST /api/v1/tasks', {
      token: t.tokens.bob,
      body: { llm: 'alpha', request },
    });
    const seen = await as('bob', `GET /tasks/${(ofBob.json as { id: string }).id}`, { token: t.tokens.ada });
    expect([seen.said, JSON.stringify(seen.json).includes('a secret')]).to.deep.equal(['200', false]);
    // Nor by the key that the other has called with.
    const keyed = { llm: 'alpha', request };
    const again = (call: string, { token, as: name }: { token: string; as?: string }, body: object = keyed) =>
      t.call(call, {
        token,
        body,
        headers: { 'idempotency-key': 'of-bob', ...(name !== undefined && { 'x-mcpctl-as': name }) },
      });
    const TASKS = 'POST /api/v1/tasks';
    const first = await again(TASKS, { token: t.tokens.bob });
    expect(first.status, first.text).to.equal(202);
    expect((await again(TASKS, { token: t.tokens.bob })).headers.get('idempotency-replayed')).to.equal(
      'true',
    );
    for (const [call, body] of [
      [TASKS, keyed],
      ['POST /api/v1/llms/alpha/infer', request],
    ] as const) {
      const refused = await again(call, { token: t.tokens.ada, as: 'bob' }, body);
      expect([refused.status, refused.text.includes('a secret')], `${call} ${refused.text}`).to.deep.equal([
        403,
        false,
      ]);
      expect(refused.text, call).to.include('only who has the operation logs');
    }
    await rbac('readers', { ...ada, operations: ['logs'] });
    const read = await again(TASKS, { token: t.tokens.ada, as: 'bob' });
    expect([read.status, read.headers.get('idempotency-replayed')], read.text).to.deep.equal([202, 'true']);
    const { token = '' } = (await api('POST /tokens', { name: 'm', preset: 'manage' })).json;
    expect((await as('ada', 'GET /whoami', { token })).said).to.equal('403 forbidden');
    expect(await answerOf('PATCH /users/bob', { enabled: false })).to.equal('200');
    expect((await as('bob', 'GET /whoami')).said).to.equal('404 user_not_found');
  });

  it('says who may, and of one user or group what is granted to it and what comes by another way', async () => {
    await llm('alpha');
    await answerOf('POST /groups', { name: 'gpu' });
    await answerOf('PUT /groups/gpu/members/ada');
    await rbac('gpu-users', { ...forGroup('gpu'), ...may('run:llm:alpha') });
    await rbac('own', { ...ada, ...may('view:metrics'), operations: ['logs'] });
    await narrow();
    const run = { verb: 'run', resource: 'llm', name: 'alpha' };
    const { items } = (await api('POST /access/who-can', run)).json as unknown as {
      items: { user: string; why: unknown[] }[];
    };
    expect(items.map(({ user }) => user)).to.deep.equal(['ada', 'admin', 'root']);
    expect(items[0]?.why).to.deep.equal([{ rbac: 'gpu-users', via: 'group:gpu', binding: 'run:llm:alpha' }]);
    expect(await answerOf('POST /access/who-can', run, t.tokens.ada)).to.equal('403 forbidden');
    expect((await api('GET /users/ada')).json).to.deep.include({
      direct: ['view:metrics (rbac own)', 'logs (rbac own)'],
      inherited: ['run:llm:alpha (rbac gpu-users, group:gpu)'],
    });
    expect((await api('GET /groups/gpu')).json).to.deep.include({
      direct: ['run:llm:alpha (rbac gpu-users)'],
      inherited: [],
    });
    const ci = { name: 'ci', bindings: [{ role: 'run', resource: 'llm', name: 'beta' }] };
    const { token } = (await api('POST /tokens', ci, t.tokens.ada)).json;
    const review = (await api('POST /access/review', run, token)).json as { limitedBy?: string };
    expect(review.limitedBy).to.equal('the token ci, which is call, run:llm:beta');
    const session = await startSession(null, { env: { MCPCTL_SERVER: t.url, MCPCTL_TOKEN: t.tokens.root } });
    expect(await session.run('auth', 'who-can', 'run', 'llm/alpha')).to.equal(0);
    expect(session.out()).to.contain('ada  run:llm:alpha: rbac gpu-users, group:gpu');
    expect(await session.run('describe', 'user', 'ada')).to.equal(0);
    expect(session.out()).to.match(/DIRECT:\n +view:metrics \(rbac own\)\n.*INHERITED:\n +run:llm:alpha/s);
    await session.close();
  });

  it('gives nobody by apply what the giver lacks, and writes nothing of it', async () => {
    await rbac('writer', {
      ...ada,
      ...may('create:rbac', 'edit:rbac', 'create:user', 'create:group', 'edit:user', 'edit:group'),
    });
    const before = (await api('GET /rbac')).text;
    for (const document of [
      { resource: 'rbac', name: 'mine', ...ada, ...may('view:audit') },
      { resource: 'rbac', name: 'mine', ...ada, operations: ['impersonate'] },
      {
        resource: 'rbac',
        name: 'everyone',
        ...forGroup('everyone'),
        ...may('edit:*'),
      },
      { resource: 'rbac', name: 'admins', ...ada },
      { resource: 'user', name: 'root', enabled: false },
    ]) {
      const harmless = { resource: 'user', name: 'eve' };
      const answer = await api('POST /apply', { documents: [harmless, document] }, t.tokens.ada);
      expect(
        [answer.status, answer.text.includes('escalation') || answer.text.includes('forbidden')],
        answer.text,
      ).to.deep.equal([403, true]);
      expect(await answerOf('GET /users/eve'), 'all or nothing').to.equal('404 user_not_found');
    }
    expect((await api('GET /rbac')).text).to.equal(before);
  });

  it('moves an llm into a pool of which they may not say who is in it by no call: the rights on the pool it leaves are none on that', async () => {
    await llm('mine', 'own');
    await llm('other', 'bobs');
    expect(await answerOf('POST /pools/bobs/owner', { user: 'bob' })).to.equal('200');
    await rbac('mover', { ...ada, ...may('edit:llm:mine', 'edit:pool:own') });
    const backend = { type: 'openai', model: 'm', url: 'http://backend.test/v1', poolName: 'bobs' };
    const as = (call: string, body: object) => answerOf(call, body, t.tokens.ada);
    expect(await as('PUT /llms/mine', backend)).to.equal('409 pool_not_yours');
    expect(await as('PATCH /llms/mine', { poolName: 'bobs' })).to.equal('409 pool_not_yours');
    expect(await as('POST /apply', { documents: [{ resource: 'llm', name: 'mine', ...backend }] })).to.equal(
      '409 pool_not_yours',
    );
    expect(await as('PATCH /llms/mine', { poolName: 'own', tier: 'fast' })).to.equal('200');
  });

  it('takes no well-known name, and none that an admin gave up, by a right on some other pool', async () => {
    await llm('mine', 'own');
    await llm('gone');
    expect(await answerOf('DELETE /llms/gone')).to.equal('204');
    await rbac('keeper', { ...ada, ...may('edit:pool:own') });
    const publish = (name: string) =>
      answerOf(
        'POST /llms/_provider-register',
        { transports: ['sse'], providers: [{ name, type: 'openai', model: 'm', poolName: 'own' }] },
        t.tokens.ada,
      );
    expect(await publish('gpt-4o')).to.equal('409 name_reserved');
    expect(await publish('gone')).to.equal('409 name_retired');
    expect(await publish('hers')).to.equal('201');
    await rbac('named', { ...ada, ...may('edit:pool:gpt-4o') });
    expect(await publish('gpt-4o')).to.equal('201');
  });

  it('writes an llm by the rights on the row as it is then: one that was moved while the call waited is in no pool of its token', async () => {
    await llm('mine', 'own');
    const made = await api('POST /tokens', { name: 'bound', pools: ['own'], preset: 'full' });
    const { token = '' } = made.json;
    expect(await answerOf('PATCH /llms/mine', { tier: 'fast' }, token)).to.equal('200');
    const moved = (poolName: string, db: Knex = t.connection.db) =>
      db('llms').where({ name: 'mine' }).update({ poolName });
    const backend = { type: 'openai', model: 'm', url: 'http://backend.test/v1', poolName: 'own' };
    for (const [call, body, answer] of [
      ['PATCH /llms/mine', { tier: 'slow' }, '403 forbidden'],
      ['PUT /llms/mine', backend, '409 name_taken'],
      ['DELETE /llms/mine', undefined, '403 forbidden'],
    ] as const) {
      await moved('own');
      const trx = await t.connection.db.transaction();
      await moved('another', trx);
      const asked = answerOf(call, body, token);
      await untilBlocking(trx);
      await trx.commit();
      expect(await asked, call).to.equal(answer);
    }
    expect((await t.registry.llms.byName('mine'))?.tier).to.equal('fast');
  });

  it('puts a guest out of a pool by the rights on that: one that was moved while the call waited is in another’s', async () => {
    for (const [name, pool] of [
      ['host', 'lair'],
      ['guest', 'lair'],
      ['away', 'another'],
    ] as const)
      await llm(name, pool);
    const { db } = t.connection;
    await db('pools').where({ key: 'lair' }).update({ ownerId: t.ada.id });
    expect(await asAda('DELETE /llms/guest')).to.equal('403 forbidden');
    const trx = await db.transaction();
    await trx('llms').where({ name: 'guest' }).update({ poolName: 'another' });
    const asked = asAda('DELETE /llms/guest?force');
    await untilBlocking(trx);
    await trx.commit();
    expect(await asked).to.equal('403 forbidden');
    expect(await t.registry.llms.byName('guest')).to.include({ poolKey: 'another' });
    await db('llms').where({ name: 'guest' }).update({ poolName: 'lair' });
    expect(await asAda('DELETE /llms/guest?force')).to.equal('204');
  });

  it('makes no admin of who may write documents: not by taking one away, a token, a key, another’s set, or one project made from another', async () => {
    const mine = ['rbac', 'group', 'user', 'project', 'llm', 'token'].flatMap((word) =>
      ['view', 'create', 'edit'].map((role) => `${role}:${word}`),
    );
    await rbac('writer', { ...ada, ...may(...mine.filter((each) => each !== 'create:token')) });
    await api('POST /secrets', { name: 'key', data: { K: 'v' } });
    await api('POST /projects', { name: 'a', description: 'of root' });
    // What stands on that project, and more besides: whoever writes it gives all of it.
    const theirs = { ...forUser('root'), ...may('view:project:a', 'view:audit') };
    await rbac('readers', theirs);
    await answerOf('POST /apply', {
      set: 'roots',
      documents: [{ resource: 'rbac', name: 'readers', ...theirs }],
    });
    const tables = [
      'rbac',
      'groups',
      'memberships',
      'users',
      'tokens',
      'projects',
      'llms',
      'secret_refs',
      'managed',
    ];
    const state = async (): Promise<unknown> =>
      Promise.all(tables.map((table) => t.connection.db(table).count().first()));
    const refused = await state();
    const as = (call: string, body: object) => answerOf(call, body, t.tokens.ada);
    const apply = (document: object, more: object = {}) =>
      as('POST /apply', { documents: [document], ...more });
    const admins = { resource: 'group', name: 'admins' };
    expect(await apply({ ...admins, members: ['root'] }), 'nor takes it').to.equal('403 escalation');
    expect(await as('POST /tokens', { name: 't', user: 'root' })).to.equal('403 forbidden');
    const backend = { type: 'openai', model: 'm', url: 'http://backend.test/v1' };
    const secretRef = { secretRef: { name: 'key', key: 'K' } };
    expect(await apply({ resource: 'llm', name: 'mine', ...backend, apiKeyRef: secretRef })).to.equal(
      '400 invalid_request',
    );
    expect(await apply({ resource: 'llm', name: 'mine', ...backend, apiKeyRef: { env: 'K' } })).to.match(
      /^40[03] /,
    );
    expect(await state()).to.deep.equal(refused);
    const own = { resource: 'rbac', name: 'own', ...ada, ...may('view:llm') };
    expect(
      await apply(own, { set: 'roots' }),
      'who may edit documents uses it, and it adopts nothing',
    ).to.equal('200');
    expect(
      await as('POST /apply', { documents: [], set: 'roots', prune: { kinds: ['rbac'], allowEmpty: true } }),
    ).to.match(/^40/);
    await answerOf('DELETE /rbac/own');
    const before = [await state(), (await api('GET /rbac')).text];
    const session = await startSession(null, { env: { MCPCTL_SERVER: t.url, MCPCTL_TOKEN: t.tokens.ada } });
    try {
      const clone = ['create', 'project', 'b', '--from', 'a'];
      expect(await session.run(...clone, '--with-rbac')).to.equal(1);
      expect(session.err()).to.contain('view:audit');
      expect([await state(), (await api('GET /rbac')).text]).to.deep.equal(before);
      // With all that is granted there it may.
      await rbac('more', { ...ada, ...may('view:audit') });
      expect(await session.run(...clone, '--with-rbac'), session.err()).to.equal(0);
      expect((await api('GET /rbac/readers')).json).to.deep.include({
        bindings: may('view:project:a', 'view:audit', 'view:project:b').bindings,
      });
    } finally {
      await session.close();
    }
  });
});
