import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { createRegistry } from '../../core/registry/registry.ts';
import { composeServices } from '../../core/runtime/process/service.ts';
import { wireEdge } from '../../edge/compose.ts';
import { startSession } from '../cli/session.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { ada, forGroup, forUser, identityCalls, may } from '../support/identity.ts';

describe('who is who, and what they are granted', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  beforeEach(async () => {
    t = await edgeFixture();
  });
  afterEach(() => t.close());

  const { api, answerOf, asAda, llm, rbac, narrow } = identityCalls(() => t);

  it('lets who has one llm of a pool see and call that, and tells of no other', async () => {
    await llm('alpha', 'both');
    await llm('beta', 'both');
    await narrow();
    expect(await rbac('one', { ...ada, ...may('run:llm:alpha') })).to.equal('201');
    const listed = (await api('GET /llms', undefined, t.tokens.ada)).json.items?.map(({ name }) => name);
    expect(listed).to.deep.equal(['alpha']);
    const members = JSON.stringify((await api('GET /llms/alpha/members', undefined, t.tokens.ada)).json);
    expect(members).to.contain('alpha').and.not.contain('beta');
    const absent = await api('GET /llms/betta', undefined, t.tokens.ada);
    const unseen = await api('GET /llms/beta', undefined, t.tokens.ada);
    expect([absent.status, unseen.status]).to.deep.equal([404, 404]);
    expect(JSON.stringify(absent.json)).to.not.contain('beta,');
    const asked = (model: string) => ({ model, messages: [{ role: 'user', content: 'hi' }] });
    const calling = async (model: string): Promise<number> =>
      (await t.call('POST /v1/chat/completions', { token: t.tokens.ada, body: asked(model) })).status;
    expect([await calling('beta'), await calling('both')]).to.deep.equal([404, 404]);
    const made = await api('POST /tasks', { llm: 'alpha', request: asked('alpha') }, t.tokens.ada);
    expect(made.status).to.equal(202);
    const [row] = await t.connection.db('tasks').select<{ pin: string | null }[]>('pin');
    expect(row?.pin, 'it is pinned to the one').to.not.equal(null);
  });

  it('holds names for what is made: what is called otherwise is 403, and not made', async () => {
    await rbac('maker', { ...ada, ...may('create:llm:gpt') });
    const body = { type: 'openai', model: 'm', url: 'http://backend.test/v1' };
    expect(await answerOf('POST /llms', { name: 'gpt2', ...body }, t.tokens.ada)).to.equal('403 forbidden');
    expect(await answerOf('PUT /llms/gpt2', body, t.tokens.ada)).to.equal('403 forbidden');
    expect(await answerOf('POST /llms', { name: 'gpt', ...body }, t.tokens.ada)).to.equal('201');
  });

  it('grants by a group, at once where it is written, and takes it back', async () => {
    await narrow();
    await llm('alpha');
    await answerOf('POST /groups', { name: 'gpu' });
    await rbac('gpu-users', { ...forGroup('gpu'), ...may('view:llm') });
    const sees = () => answerOf('GET /llms/alpha', undefined, t.tokens.ada);
    expect(await sees()).to.equal('404 llm_not_found');
    expect(await answerOf('PUT /groups/gpu/members/ada')).to.equal('204');
    expect(await answerOf('PUT /groups/gpu/members/ada'), 'again').to.equal('204');
    expect(await sees()).to.equal('200');
    expect((await api('GET /groups/gpu')).json.members).to.deep.equal(['ada']);
    expect(await answerOf('DELETE /groups/gpu/members/ada')).to.equal('204');
    expect(await sees()).to.equal('404 llm_not_found');
    expect(await answerOf('PUT /groups/gpu/members/nobody')).to.equal('404 user_not_found');
  });

  it('gives nobody what the giver lacks, whatever the way, and lets nobody take it', async () => {
    await rbac('writer', {
      ...ada,
      ...may(
        'create:rbac',
        'edit:rbac',
        'delete:rbac',
        'edit:group',
        'view:user',
        'edit:user',
        'create:token',
        'delete:user',
      ),
    });
    expect(await rbac('own', { ...ada, ...may('view:audit') }, t.tokens.ada)).to.equal('403 escalation');
    expect(await rbac('own', { ...ada, operations: ['logs'] }, t.tokens.ada)).to.equal('403 escalation');
    expect(await rbac('own', { ...ada, ...may('run:*') }, t.tokens.ada)).to.equal('403 escalation');
    expect(await asAda('PATCH /rbac/writer', may('view:audit'))).to.equal('403 escalation');
    expect(await asAda('PUT /groups/admins/members/ada')).to.equal('403 escalation');
    expect(await asAda('PATCH /users/root', { enabled: false })).to.equal('403 escalation');
    expect(await asAda('DELETE /users/root')).to.equal('403 escalation');
    expect(await asAda('DELETE /rbac/admins')).to.equal('403 forbidden');
    expect(await asAda('POST /tokens', { name: 'x', user: 'root' })).to.equal('403 escalation');
    expect(await rbac('own', { ...ada, ...may('run:llm', 'edit:rbac') }, t.tokens.ada)).to.equal('201');
    expect((await api('GET /rbac')).json.items?.map(({ name }) => name)).to.deep.equal([
      'admins',
      'everyone',
      'own',
      'writer',
    ]);
  });

  it('puts out a worker whose user may not publish any more, and it comes back when they may', async () => {
    const offer = { transports: ['sse'], providers: [{ name: 'desk', type: 'openai', model: 'm' }] };
    const register = () => answerOf('POST /llms/_provider-register', offer, t.tokens.ada);
    expect(await register()).to.equal('201');
    await rbac('publishers', { ...ada, ...may('create:session') });
    await narrow();
    expect(await t.registry.denials.unentitled(), 'by a document of their own').to.deep.equal([]);
    expect(await answerOf('DELETE /rbac/publishers')).to.equal('204');
    const out = await t.registry.denials.denyUnentitled();
    expect(out.map(({ isOver }) => isOver)).to.deep.equal([true]);
    expect(await register()).to.equal('403 forbidden');
  });

  it('`*` gives nothing of identity', async () => {
    await rbac('all', { ...ada, ...may('view:*', 'create:*', 'edit:*', 'delete:*', 'run:*') });
    for (const plural of ['users', 'groups', 'rbac'])
      expect(await answerOf(`GET /${plural}`, undefined, t.tokens.ada), plural).to.equal('403 forbidden');
    expect(await answerOf('POST /users', { name: 'eve' }, t.tokens.ada)).to.equal('403 forbidden');
    expect(await answerOf('GET /secrets', undefined, t.tokens.ada)).to.equal('403 forbidden');
    expect(await answerOf('POST /secrets', { name: 's', data: { K: 'v' } }, t.tokens.ada)).to.equal(
      '403 forbidden',
    );
    const tokens = (await api('GET /tokens', undefined, t.tokens.ada)).json.items as unknown as {
      user: string;
    }[];
    expect([...new Set(tokens.map(({ user }) => user))], 'tokens of others').to.deep.equal(['ada']);
    const events = (await api('GET /audit', undefined, t.tokens.ada)).json.items as unknown as {
      actor: string;
      name: string;
    }[];
    expect(events.filter(({ actor, name }) => actor !== 'ada' && name !== 'ada')).to.deep.equal([]);
    for (const [resource, verb] of ['user', 'group', 'rbac', 'secret', 'token', 'audit', 'quota'].flatMap(
      (each) => ['view', 'create', 'edit', 'delete', 'run'].map((role) => [each, role] as const),
    ))
      if (!(resource === 'token' || (resource === 'audit' && verb === 'view')))
        expect(
          (await api('POST /access/review', { resource, verb, name: 'of-another' }, t.tokens.ada)).json,
        ).to.include({ allowed: false });
    expect(await answerOf('GET /metrics', undefined, t.tokens.ada)).to.equal('404 route_not_found');
  });

  it('keeps one who may do everything, whatever two of them do at once', async () => {
    await answerOf('DELETE /groups/admins/members/admin');
    expect(await answerOf('PUT /groups/admins/members/ada')).to.equal('204');
    for (let tried = 0; tried < 10; tried++) {
      const both = await Promise.all([
        answerOf('PATCH /users/ada', { enabled: false }),
        answerOf('DELETE /groups/admins/members/root', undefined, t.tokens.ada),
      ]);
      expect(
        both.filter((each) => each.startsWith('20')),
        both.join(),
      ).to.have.length(1);
      expect(
        both.some((each) => /last_admin|unauthenticated|forbidden|escalation|not_found/.test(each)),
      ).to.equal(true);
      await t.connection.db('users').where({ name: 'ada' }).update({ enabled: true });
      await t.connection.db('users').where({ name: 'root' }).update({ binding: 'admin' });
      t.deps.authenticator.forget();
    }
    await answerOf('DELETE /groups/admins/members/ada');
    expect(await answerOf('DELETE /groups/admins/members/root')).to.equal('409 last_admin');
    expect(await answerOf('DELETE /users/root')).to.equal('409 last_admin');
    expect(await answerOf('PATCH /users/root', { kind: 'service' })).to.equal('409 last_admin');
  });

  it('a user who is disabled is nobody until enabled again; one who is made anew has nothing of before', async () => {
    await rbac('more', { ...ada, ...may('view:token') });
    const asAda = () => answerOf('GET /whoami', undefined, t.tokens.ada);
    await answerOf('PATCH /users/ada', { enabled: false });
    expect(await asAda()).to.equal('401 unauthenticated');
    await answerOf('PATCH /users/ada', { enabled: true });
    expect(await asAda()).to.equal('200');
    const before = (await api('GET /users/ada')).json;
    expect(await answerOf('DELETE /users/ada')).to.equal('204');
    expect(await asAda()).to.equal('401 unauthenticated');
    expect(await answerOf('GET /users/ada')).to.equal('404 user_not_found');
    await rbac('people', { ...forUser('bob'), ...may('create:user') });
    expect(await answerOf('POST /users', { name: 'ada' }, t.tokens.bob)).to.equal('409 name_retired');
    const anew = (await api('POST /users', { name: 'ada' })).json;
    expect(anew)
      .to.include({ name: 'ada' })
      .and.not.have.property('id', (before as { id?: string }).id);
    expect((await api('GET /rbac/more')).json).to.deep.include({ subjects: [] });
    const { token = '' } = (await api('POST /tokens', { name: 'new', preset: 'full', user: 'ada' })).json;
    expect((await api('GET /tokens', undefined, token)).json.items).to.have.length(1);
  });

  it('says by what somebody may, of oneself and of others, as the call itself answers', async () => {
    await llm('alpha');
    await answerOf('POST /groups', { name: 'gpu' });
    await answerOf('PUT /groups/gpu/members/ada');
    await rbac('gpu-users', { ...forGroup('gpu'), ...may('run:llm:alpha') });
    const review = async (body: object, token?: string) =>
      (await api('POST /access/review', body, token)).json;
    const run = { verb: 'run', resource: 'llm', name: 'alpha' };
    const byGroup = { rbac: 'gpu-users', via: 'group:gpu', binding: 'run:llm:alpha' };
    const asBegun = ['run:llm', 'run:pool'].map((binding) => ({
      rbac: 'everyone',
      via: 'group:everyone',
      binding,
    }));
    expect(await review(run, t.tokens.ada)).to.deep.equal({ allowed: true, why: [...asBegun, byGroup] });
    const request = { messages: [{ role: 'user', content: 'hi' }] };
    const { id } = (await api('POST /tasks', { llm: 'alpha', request }, t.tokens.ada)).json as {
      id?: string;
    };
    const cancel = { verb: 'delete', resource: 'task', name: id };
    expect(await review(cancel, t.tokens.ada), 'her own, as the call itself').to.deep.equal({
      ...{ allowed: true, why: [{ rbac: '', via: 'owner', binding: 'delete:task' }] },
    });
    expect(await review(cancel, t.tokens.bob)).to.deep.equal({ allowed: false, why: [] });
    await narrow();
    expect(await review({ ...run, as: 'ada' })).to.deep.equal({ allowed: true, why: [byGroup] });
    expect(await review({ ...run, as: 'bob' })).to.deep.equal({ allowed: false, why: [] });
    const alias = 'Alpha:too';
    expect(await answerOf('PATCH /llms/alpha', { aliases: [alias] })).to.equal('200');
    for (const [token, mayCall] of [
      [t.tokens.ada, true],
      [t.tokens.bob, false],
    ] as const) {
      const { status } = await api('POST /tasks', { llm: alias, request }, token);
      const { allowed } = (await review({ ...run, name: alias }, token)) as { allowed?: boolean };
      expect([status < 300, allowed], 'what an alias stands for').to.deep.equal([mayCall, mayCall]);
    }
    expect(await answerOf('POST /access/review', { ...run, as: 'bob' }, t.tokens.ada)).to.equal(
      '403 forbidden',
    );
    const { token } = (
      await api('POST /tokens', { name: 'bound', preset: 'full', pools: ['other'] }, t.tokens.ada)
    ).json;
    expect(await review(run, token))
      .to.include({ allowed: false })
      .and.have.property('limitedBy');
  });

  it('an operator sets up a group on the command line, and asks', async () => {
    await llm('alpha');
    await narrow();
    const env = { MCPCTL_SERVER: t.url, MCPCTL_TOKEN: t.tokens.root };
    const session = await startSession(null, { env });
    const run = async (line: string): Promise<[code: number, out: string]> => {
      const before = session.out().length;
      const code = await session.run(...line.split(' '));
      return [code, session.out().slice(before).trim()];
    };
    try {
      const may = 'auth can-i run llm/alpha --as ada';
      expect(await run(may)).to.deep.equal([3, 'no']);
      const away = await startSession(null, {
        env: { MCPCTL_SERVER: 'http://127.0.0.1:9', MCPCTL_TOKEN: 'none' },
      });
      expect(await away.run(...may.split(' ')), 'nobody is there to say no').to.equal(1);
      await away.close();
      expect(await run('create user eve --kind service')).to.deep.equal([0, 'user/eve created']);
      expect((await run('create group gpu'))[0]).to.equal(0);
      expect((await run('group add gpu ada eve'))[0]).to.equal(0);
      const made = await run('create rbac gpu-users --subject group:gpu --binding run:llm:alpha');
      expect(made, session.err()).to.deep.equal([0, 'rbac/gpu-users created']);
      expect(await run(may)).to.deep.equal([0, 'yes']);
      for (const line of ['create rbac typo --subject group:gpu', 'token create typo']) {
        const before = session.err().length;
        expect((await run(`${line} --binding run:llm:alhpa`))[0]).to.equal(0);
        expect(session.err().slice(before)).to.contain(
          "Warning: There is no llm named 'alhpa': run:llm:alhpa",
        );
      }
      expect((await run('describe rbac gpu-users'))[1]).to.match(
        /Subjects: +group:gpu\n.*Bindings: +run:llm:alpha\n/s,
      );
      const why = await run('auth why run llm/alpha --as ada');
      expect(why).to.deep.equal([0, 'yes\nrun:llm:alpha: rbac gpu-users, group:gpu']);
      expect((await run('group remove gpu ada'))[0]).to.equal(0);
      expect(await run(may)).to.deep.equal([3, 'no']);
      const none = await run('auth why run llm/alpha --as ada');
      expect(none).to.deep.equal([
        0,
        'no\nnothing that is granted to ada, to a group or to everyone lets that',
      ]);
    } finally {
      await session.close();
    }
  });

  it('who is at the machine makes an admin, and so is never locked out', async () => {
    await answerOf('PATCH /users/bob', { enabled: false });
    expect(await t.deps.registry.users.makeAdmin('bob')).to.equal(true);
    t.deps.authenticator.forget();
    expect(await answerOf('GET /users', undefined, t.tokens.bob)).to.equal('200');
    expect(await t.deps.registry.users.makeAdmin('nobody')).to.equal(false);
  });

  it('refuses what it does not know, and writes nothing', async () => {
    const wrong: object[] = [
      { ...ada, ...may('rnu:llm') },
      { ...ada, ...may('run:lllm') },
      { ...ada, ...may('run:llm:ü') },
      forUser('nobody'),
      forGroup('ada'),
      { subjects: [{ kind: 'robot', name: 'ada' }] },
      { ...ada, operations: ['everything'] },
      { ...ada, more: 1 },
      { subjects: Array.from({ length: 101 }, () => ({ kind: 'user', name: 'ada' })) },
    ];
    for (const document of wrong)
      expect(await rbac('wrong', document), JSON.stringify(document).slice(0, 80)).to.equal(
        '400 invalid_request',
      );
    expect(await answerOf('GET /rbac/wrong')).to.equal('404 rbac_not_found');
  });

  it('an edge of the last release and this one agree on who is an admin', async () => {
    const { db } = t.connection;
    const isMember = async (name: string): Promise<boolean> =>
      ((await api(`GET /groups/admins`)).json.members as string[]).includes(name);
    await db('users').where({ name: 'bob' }).update({ binding: 'admin' });
    expect(await isMember('bob')).to.equal(true);
    await answerOf('DELETE /groups/admins/members/bob');
    expect(await db('users').where({ name: 'bob' }).first('binding')).to.deep.equal({ binding: 'user' });
    const id = randomUUID();
    await db('users').insert({ id, name: 'eve', binding: 'admin' });
    expect(await isMember('eve')).to.equal(true);
  });

  it('what is written at one edge is known at another by the epoch', async () => {
    const { config, log, version, bullmqVersion, stopping, leaving } = t.deps;
    const other = wireEdge(
      { config, log, connection: t.connection, version, bullmqVersion, ofProcess: false },
      { stopping, leaving },
    );
    const actor = () => other.deps.authenticator.actorOf(t.tokens.ada);
    const running = composeServices(other.services, log);
    const forgot = new Promise<void>((resolve) => {
      const authenticator = other.deps.authenticator;
      const forget = authenticator.forget.bind(authenticator);
      authenticator.forget = () => {
        forget();
        resolve();
      };
    });
    expect(await actor()).to.include({ userName: 'ada' });
    const epoch = await createRegistry(t.connection).groups.epoch();
    await running.start?.();
    await answerOf('PATCH /users/ada', { enabled: false });
    expect(await createRegistry(t.connection).groups.epoch()).to.not.equal(epoch);
    // The first look is what it compares with; each write after it is seen.
    const writing = setInterval(
      () => void answerOf('PATCH /groups/everyone', { description: randomUUID() }),
      300,
    );
    await forgot;
    clearInterval(writing);
    expect(await actor()).to.equal(undefined);
    await running.stop();
  });
});
