import { expect } from 'chai';
import { startSession } from '../cli/session.ts';
import { ensureAdmin } from '../../core/registry/people/bootstrap.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { ada, forGroup, forUser, identityCalls, may } from '../support/identity.ts';

describe('users and groups that are called otherwise', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  beforeEach(async () => {
    t = await edgeFixture();
  });
  afterEach(() => t.close());
  const { api, answerOf, asAda, llm, rbac, narrow } = identityCalls(() => t);
  const sees = () => answerOf('GET /llms/alpha', undefined, t.tokens.ada);

  it('a group keeps its members and rights without a moment of loss, and its former name has none', async () => {
    await narrow();
    await llm('alpha');
    await answerOf('POST /groups', { name: 'gpu' });
    await rbac('gpu-users', { ...forGroup('gpu'), ...may('view:llm') });
    await answerOf('PUT /groups/gpu/members/ada');
    let lost = 0;
    let isOver = false;
    const watching = (async () => {
      while (!isOver) if ((await sees()) !== '200') lost += 1;
    })();
    for (const [from, to] of [
      ['gpu', 'rack'],
      ['rack', 'gpu'],
      ['gpu', 'rack'],
    ])
      expect(await answerOf(`PATCH /groups/${from ?? ''}`, { name: to })).to.equal('200');
    isOver = true;
    await watching;
    expect([lost, await sees()]).to.deep.equal([0, '200']);
    const { json } = await api('GET /rbac/gpu-users');
    expect(json).to.deep.include(forGroup('rack'));
    expect(await answerOf('GET /groups/gpu')).to.equal('404 group_not_found');
    const { json: audit } = await api('GET /audit?resource=group&verb=edit&limit=1');
    expect(JSON.stringify(audit)).to.include('"from":"gpu"').and.include('"to":"rack"');
    // Of before: it makes an empty group, and says so.
    const old = [{ resource: 'group', name: 'gpu' }];
    const dry = (await api('POST /apply', { documents: old, dryRun: true })).json as { warnings?: string[] };
    const applied = (await api('POST /apply', { documents: old })).json as { warnings?: string[] };
    expect(applied.warnings?.join()).to.include("'gpu'").and.include("'rack'");
    expect(dry.warnings).to.deep.equal(applied.warnings);
    expect((await api('GET /groups/gpu')).json).to.deep.include({ members: [], direct: [] });
    await answerOf('PUT /groups/gpu/members/bob');
    expect(await answerOf('GET /llms/alpha', undefined, t.tokens.bob)).to.equal('404 llm_not_found');
    const again = (await api('POST /apply', { documents: old })).json as { warnings?: string[] };
    expect(again.warnings).to.deep.equal([]);
  });

  it('a user keeps tokens, groups and what is theirs; a document of before is told how they are called now', async () => {
    await llm('alpha');
    await answerOf('POST /groups', { name: 'gpu' });
    await answerOf('PUT /groups/gpu/members/ada');
    await rbac('hers', { ...ada, ...may('view:metrics') });
    await answerOf('POST /projects', { name: 'hers' }, t.tokens.ada);
    expect(await answerOf('PATCH /users/ada', { name: 'grace' })).to.equal('200');
    expect((await t.call('GET /api/v1/whoami')).json).to.deep.include({ user: 'grace' });
    expect((await api('GET /groups/gpu')).json.members).to.deep.equal(['grace']);
    expect((await api('GET /projects/hers')).json).to.deep.include({ owner: 'grace' });
    expect((await api('GET /rbac/hers')).json).to.deep.include({
      ...forUser('grace'),
    });
    const answer = await api('POST /rbac', {
      name: 'old',
      ...ada,
      ...may('view:metrics'),
    });
    expect(JSON.stringify(answer.json)).to.include("is 'grace' now");
    const outcome = await api('POST /apply', {
      documents: [
        {
          resource: 'rbac',
          name: 'hers',
          ...forUser('grace'),
          ...may('view:metrics'),
        },
      ],
    });
    expect(JSON.stringify(outcome.json)).to.include('unchanged');
  });

  it('is for who covers what goes by the name; names that are taken, retired or built in are no new names', async () => {
    await answerOf('POST /groups', { name: 'gpu' });
    await answerOf('POST /groups', { name: 'rack' });
    await rbac('gpu-users', { ...forGroup('gpu'), ...may('view:audit') });
    await rbac('leads', {
      ...ada,
      ...may('edit:group', 'edit:user', 'create:group', 'create:user'),
    });
    expect(await asAda('PATCH /groups/gpu', { name: 'mine' })).to.equal('403 escalation');
    expect(await asAda('PATCH /users/root', { name: 'mine' })).to.equal('403 escalation');
    expect(await asAda('PATCH /groups/rack', { name: 'gpu' })).to.equal('409 name_taken');
    expect(await asAda('PATCH /groups/rack', { name: 'shelf' })).to.equal('200');
    expect(await asAda('POST /groups', { name: 'rack' })).to.equal('409 name_retired');
    expect(await asAda('PATCH /groups/shelf', { name: 'rack' }), 'its own').to.equal('200');
    for (const name of ['everyone', 'admins'])
      expect(await answerOf(`PATCH /groups/${name}`, { name: 'x' })).to.equal('403 forbidden');
    expect(await answerOf('PATCH /groups/rack', { name: 'No Name' })).to.equal('400 invalid_request');
    expect(await answerOf('PATCH /rbac/leads', { name: 'x' })).to.equal('400 invalid_request');
    expect(await answerOf('DELETE /users/bob')).to.equal('204');
    expect(await asAda('PATCH /users/ada', { name: 'bob' })).to.equal('409 name_retired');
    expect(await asAda('POST /tokens', { name: 'x', user: 'bob' })).to.match(/^403 /);
    expect(await answerOf('PATCH /users/ada', { name: 'ada2' }), 'as an admin').to.equal('200');
  });

  it('the first admin may be called otherwise: no release makes another of the former name', async () => {
    const text = 'a-bootstrap-token-of-the-tests-0123456789';
    expect(await answerOf('PATCH /users/admin', { name: 'chief' })).to.equal('200');
    await ensureAdmin(t.registry, text);
    expect(await answerOf('GET /users/admin')).to.equal('404 user_not_found');
    expect((await t.call('GET /api/v1/whoami', { token: text })).json).to.deep.include({ user: 'chief' });
  });

  it('on the command line', async () => {
    await answerOf('POST /groups', { name: 'gpu' });
    const session = await startSession(null, { env: { MCPCTL_SERVER: t.url, MCPCTL_TOKEN: t.tokens.root } });
    try {
      expect(await session.run('rename', 'group', 'gpu', 'rack'), session.err()).to.equal(0);
      expect(await session.run('rename', 'user/ada', 'grace'), session.err()).to.equal(0);
      expect(session.out()).to.equal('group/gpu is group/rack now\nuser/ada is user/grace now\n');
      expect(await session.run('rename', 'rbac', 'everyone', 'x')).to.equal(2);
      expect(await session.run('rename', 'group', 'rack')).to.equal(2);
    } finally {
      await session.close();
    }
  });
});
