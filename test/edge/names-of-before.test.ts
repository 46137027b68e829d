import { expect } from 'chai';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { ada, forUser, identityCalls, may } from '../support/identity.ts';

describe('what was somebody’s, and whose it is then', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  beforeEach(async () => {
    t = await edgeFixture();
  });
  afterEach(() => t.close());
  const { api, answerOf, asAda, asBob, llm, rbac, narrow } = identityCalls(() => t);
  const backend = { type: 'openai', model: 'm', url: 'http://backend.test/v1' };
  /** Both may make public llms. */
  const bothMake = (): Promise<string> =>
    rbac('makers', {
      subjects: [...ada.subjects, ...forUser('bob').subjects],
      ...may('create:llm', 'edit:llm'),
    });

  it('a user keeps so many names that they gave up, and no more, and none that is over', async () => {
    await bothMake();
    await asAda('POST /llms', { name: 'desk', ...backend });
    await t.connection.db.raw(
      `insert into retired_names (resource, name, until, former_owner_id)
         select 'agent', 'gone-' || n, now() + n * interval '1 minute', cast(:ada as uuid) from generate_series(-3, 300) n`,
      { ada: t.ada.id },
    );
    await asAda('POST /agents', { name: 'last', llm: 'desk' });
    await asAda('DELETE /agents/last');
    const { rows } = await t.connection.db.raw<{ rows: { name: string }[] }>(
      'select name from retired_names order by until desc',
    );
    expect([rows.length, rows[0]?.name, rows.at(-1)?.name]).to.deep.equal([256, 'last', 'gone-46']);
  });

  it('a deleted llm’s name is its owner’s to take again, as a name, an alias, a pool, an agent, an agent’s personality', async () => {
    await bothMake();
    await asAda('POST /llms', { name: 'gpt', ...backend, aliases: ['nick'], poolName: 'rack' });
    await asAda('POST /llms', { name: 'desk', ...backend });
    await asAda('POST /agents', { name: 'reviewer', llm: 'desk' });
    await asAda('POST /agents/reviewer/personalities', { name: 'grumpy' });
    const taken = { name: 'mine', ...backend, aliases: ['reviewer:grumpy'] };
    expect(await asBob('POST /llms', taken), 'the agent is there').to.equal('409 name_taken');
    expect(await asBob('POST /llms', { ...taken, aliases: ['reviewer:kind'] })).to.equal('409 name_taken');
    expect(await asAda('POST /llms', { ...taken, name: 'hers' }), 'over her own').to.equal('409 name_taken');
    await asAda('DELETE /agents/reviewer');
    await asAda('DELETE /llms/gpt');
    await asBob('POST /llms', { name: 'his', ...backend });
    for (const body of [
      { name: 'gpt', ...backend },
      { name: 'nick', ...backend },
      { name: 'mine', ...backend, poolName: 'rack' },
      { name: 'mine', ...backend, poolName: 'gpt' },
      { name: 'mine', ...backend, aliases: ['gpt'] },
      { name: 'mine', ...backend, aliases: ['NICK'] },
      { name: 'mine', ...backend, aliases: ['reviewer'] },
      { name: 'mine', ...backend, aliases: ['reviewer:grumpy'] },
    ])
      expect(await asBob('POST /llms', body), JSON.stringify(body)).to.equal('409 name_retired');
    expect(await asBob('POST /agents', { name: 'gpt', llm: 'his' })).to.equal('409 name_retired');
    const session = { providerSessionId: '11111111-1111-4111-8111-111111111111', transports: ['sse'] };
    const providers = [{ name: 'gpt', type: 'openai', model: 'm' }];
    expect(await asBob('POST /llms/_provider-register', { ...session, providers })).to.equal(
      '409 name_retired',
    );
    expect(await asAda('POST /agents', { name: 'reviewer', llm: 'desk' })).to.equal('201');
    expect(
      await asAda('POST /llms', {
        name: 'gpt',
        ...backend,
        aliases: ['nick', 'reviewer:kind'],
        poolName: 'rack',
      }),
    ).to.equal('201');
    expect(await asAda('POST /agents/reviewer/personalities', { name: 'kind' })).to.equal('409 name_taken');
    expect(
      await asBob('POST /llms', { name: 'qwen3', ...backend, aliases: ['desk:8b'] }),
      'no agent',
    ).to.equal('201');
  });

  it('bindings that name what is gone stay, and are shown as dangling', async () => {
    await llm('gpt');
    await rbac('some', { ...ada, ...may('run:llm:gpt', 'run:llm:gone', 'create:llm:new', 'view:pool:gpt') });
    const shown = async (): Promise<unknown> =>
      ((await api('GET /rbac/some')).json as { dangling?: unknown }).dangling;
    expect(await shown()).to.deep.equal(['run:llm:gone']);
    await answerOf('DELETE /llms/gpt');
    expect(await shown()).to.have.members(['run:llm:gpt', 'run:llm:gone', 'view:pool:gpt']);
    await rbac('lookers', { ...ada, ...may('view:rbac') });
    await narrow();
    const seen = await api('GET /rbac/some', undefined, t.tokens.ada);
    expect((seen.json as { dangling?: unknown }).dangling, 'of what she may see').to.have.members([
      'run:llm:gpt',
      'run:llm:gone',
      'view:pool:gpt',
    ]);
    const { dangling } = (await api('GET /rbac/makers', undefined, t.tokens.ada)).json as {
      dangling?: unknown;
    };
    expect(dangling).to.equal(undefined);
  });

  it('bindings that name what is not there are told of where they are written, and nothing else is', async () => {
    const noLlm = "There is no llm named 'gone': run:llm:gone grants nothing until there is.";
    const noTask = "view:task:one grants nothing: 'task' is granted without a name.";
    const saidBy = async (call: string, body: unknown, token?: string): Promise<unknown> => {
      const { status, text, json } = await api(call, body, token);
      expect(status, text).to.be.oneOf([200, 201]);
      return (json as { warnings?: unknown }).warnings;
    };
    await llm('gpt', 'rack');
    const there = may('run:llm:gpt', 'run:pool:rack', 'create:llm:new', 'view:user:ada', 'run:llm');
    const gone = may('run:llm:gone', 'run:llm:gpt', 'view:task:one');
    expect(await saidBy('POST /rbac', { name: 'some', ...ada, ...there })).to.equal(undefined);
    expect(await saidBy('PATCH /rbac/some', gone)).to.deep.equal([noLlm, noTask]);
    expect(await saidBy('GET /rbac/some', undefined), 'nothing was written').to.equal(undefined);
    expect(await saidBy('PUT /rbac/more', gone)).to.have.length(2);
    const documents = (...bindings: string[]) => [
      { resource: 'llm', name: 'made', ...backend, poolName: 'shelf' },
      { resource: 'rbac', name: 'both', ...ada, ...may('run:llm:made', 'run:pool:shelf', ...bindings) },
    ];
    for (const dryRun of [true, false]) {
      expect(await saidBy('POST /apply', { documents: documents(), dryRun })).to.deep.equal([]);
      const asked = { documents: documents('run:llm:gone'), dryRun };
      expect(await saidBy('POST /apply', asked), 'where it is changed').to.deep.equal([noLlm]);
      const again = dryRun ? [noLlm] : [];
      expect(await saidBy('POST /apply', asked), 'and not again').to.deep.equal(again);
    }
    const bound = { bindings: may('run:llm:gone', 'run:llm:gpt').bindings, pools: ['rack', 'no-rack'] };
    expect(await saidBy('POST /tokens', { name: 'bound', ...bound })).to.deep.equal([
      noLlm,
      "There is no pool named 'no-rack': view:pool:no-rack grants nothing until there is.",
    ]);
    const publish = { name: 'desk', preset: 'publish', pools: ['no-rack'] };
    expect(await saidBy('POST /tokens', publish), 'which its worker makes').to.equal(undefined);
    await narrow();
    await answerOf('DELETE /rbac/some');
    await answerOf('DELETE /rbac/more');
    await answerOf('DELETE /rbac/both');
    const unseen = { name: 'unseen', bindings: may('run:llm:gone', 'run:llm:gpt').bindings };
    expect(await saidBy('POST /tokens', unseen, t.tokens.ada), 'of what she may not see').to.equal(undefined);
  });

  it('a deleted user’s things are another’s where they are handed over, and a new user of that name has none', async () => {
    await bothMake();
    await asAda('POST /llms', { name: 'gpt', ...backend, poolName: 'rack', aliases: ['nick'] });
    await asAda('POST /agents', { name: 'reviewer', llm: 'gpt' });
    await asAda('POST /prompts', { name: 'tone', content: 'Be brief.' });
    await asAda('POST /projects', { name: 'hers' });
    const request = { messages: [{ role: 'user', content: 'hi' }] };
    const task = await t.call('POST /api/v1/tasks', { body: { llm: 'gpt', request } });
    const { id } = task.json as { id: string };
    await answerOf('POST /groups', { name: 'gpu' });
    await answerOf('PUT /groups/gpu/members/ada');
    await rbac('hers', { ...ada, ...may('view:metrics') });
    expect(await answerOf('DELETE /users/ada')).to.equal('409 in_use');
    for (const to of ['nobody', 'ada', ''])
      expect(await answerOf(`DELETE /users/ada?transferTo=${to}`), to).to.equal('400 invalid_request');
    await asBob('POST /prompts', { name: 'tone', content: 'Be long.' });
    expect(await answerOf('DELETE /users/ada?transferTo=bob')).to.equal('409 name_taken');
    const his = await api('GET /prompts', undefined, t.tokens.bob);
    const [prompt] = (his.json.items ?? []) as unknown as { id: string }[];
    await answerOf(`DELETE /prompts/${prompt?.id ?? ''}`, undefined, t.tokens.bob);
    // Who may delete users, and has all that ada is granted, must not so come by what is private of hers.
    await rbac('people', {
      ...forUser('bob'),
      ...may('delete:user', 'view:metrics'),
    });
    expect(await answerOf('DELETE /users/ada?transferTo=bob', undefined, t.tokens.bob)).to.equal(
      '403 forbidden',
    );
    expect(await answerOf('DELETE /users/ada?transferTo=bob')).to.equal('204');
    expect((await t.call('GET /api/v1/whoami')).status).to.equal(401);
    for (const path of ['llms/gpt', 'pools/rack', 'agents/reviewer', 'projects/hers']) {
      const { json } = await api(`GET /${path}`);
      expect(JSON.stringify(json), path).to.match(/"owner":"bob"|"ownerId":"[^"]*"/);
    }
    const { rows } = await t.connection.db.raw<{ rows: { table: string }[] }>(
      `select 'llms' as table from llms where owner_id = :id union all select 'pools' from pools where owner_id = :id
       union all select 'agents' from agents where owner_id = :id union all select 'projects' from projects where owner_id = :id
       union all select 'prompts' from prompts where owner_id = :id
       union all select 'names' from name_owners where owner_id = :id
       union all select 'memberships' from memberships where user_id = :id
       union all select 'subjects' from rbac_subjects where user_id = :id
       union all select 'tokens' from tokens where user_id = :id and revoked_at is null`,
      { id: t.ada.id },
    );
    expect(rows).to.deep.equal([]);
    const events = await api('GET /audit?limit=5', undefined, t.tokens.bob);
    expect(JSON.stringify(events.json)).to.include('"field":"llms"').and.include('"to":"ada"');
    expect(await asBob('PATCH /llms/gpt', { description: 'mine' }), 'it is his').to.equal('200');
    await rbac('others', { ...forUser('bob'), ...may('create:user') });
    expect(await asBob('POST /users', { name: 'ada' }), 'an admin of users may').to.equal('409 name_retired');
    expect(await answerOf('POST /users', { name: 'ada' })).to.equal('201');
    expect((await api('GET /users/ada')).json).to.deep.include({ groups: [], direct: [] });
    const { token = '' } = (await api('POST /tokens', { name: 'new', user: 'ada', preset: 'full' })).json;
    expect(await answerOf(`GET /tasks/${id}`, undefined, token)).to.equal('404 task_not_found');
    expect((await api('GET /tasks', undefined, token)).json.items).to.deep.equal([]);
    expect(await answerOf('PATCH /llms/gpt', { description: 'x' }, token)).to.match(/^40[34] /);
  });

  it('who is granted `create` of a pool publishes into it, until that is taken away; its owner may grant it', async () => {
    const publish = async (token: string, name: string, session: string): Promise<string> =>
      answerOf(
        'POST /llms/_provider-register',
        {
          ...{ providerSessionId: session, instanceId: session, transports: ['sse'] },
          providers: [{ name, type: 'openai', model: 'm', poolName: 'rack' }],
        },
        token,
      );
    const [hers, his] = ['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'];
    expect(await publish(t.tokens.ada, 'a', hers)).to.equal('201');
    expect(await publish(t.tokens.bob, 'b', his)).to.equal('409 pool_not_yours');
    const bobs = forUser('bob');
    await rbac('writers', { ...ada, ...may('create:rbac', 'edit:rbac', 'delete:rbac') });
    const byAda = (name: string, ...bindings: string[]): Promise<string> =>
      rbac(name, { ...bobs, ...may(...bindings) }, t.tokens.ada);
    expect(await byAda('others', 'create:pool:another')).to.equal('403 escalation');
    expect(await byAda('all', 'create:pool')).to.equal('403 escalation');
    expect(await byAda('delete', 'delete:pool:rack')).to.equal('403 escalation');
    expect(await byAda('joiners', 'create:pool:rack', 'edit:pool:rack')).to.equal('201');
    expect(await asAda('PATCH /rbac/joiners', may('create:pool:rack'))).to.equal('200');
    expect(await publish(t.tokens.bob, 'b', his)).to.equal('201');
    const { token: narrowed = '' } = (
      await api(
        'POST /tokens',
        { name: 'n', preset: 'full', bindings: may('create:rbac', 'run:llm').bindings },
        t.tokens.ada,
      )
    ).json;
    expect(await rbac('more', { ...bobs, ...may('create:pool:rack') }, narrowed)).to.equal('403 escalation');
    const one = { providerSessionId: his, instanceId: his };
    expect(await answerOf('POST /llms/_provider-heartbeat', one, t.tokens.bob)).to.equal('200');
    expect(await asAda('DELETE /rbac/joiners')).to.equal('204');
    await t.deps.putOut.unentitled();
    expect((await t.registry.llms.byName('b'))?.inactiveReason).to.equal('denied');
    expect(await publish(t.tokens.bob, 'b', his)).to.equal('409 pool_not_yours');
  });
});
