import { expect } from 'chai';
import { createAuthenticator } from '../../edge/believed/authenticator.ts';
import { McpctlError } from '../../core/errors.ts';
import { hashToken } from '../../core/registry/people/tokens.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { edgeFixture, type Answer, type EdgeFixture } from '../support/edge.ts';

interface Token {
  id: string;
  name: string;
  user: string;
  binding: string;
  pools: string[] | null;
  prefix: string | null;
  expiresAt: string | null;
  revokedAt: string | null;
  token: string;
}
const codeOf = (answer: Answer): unknown => (answer.json as { code?: string }).code;

describe('tokens', () => {
  let t: EdgeFixture;
  beforeEach(async () => {
    t = await edgeFixture();
  });
  afterEach(() => t.close());
  const make = (body: Record<string, unknown>, token = t.tokens.ada): Promise<Answer> =>
    t.call('POST /api/v1/tokens', { token, body });
  const whoami = (token: string): Promise<Answer> => t.call('GET /api/v1/whoami', { token });

  it('shows the text once, and keeps its hash alone', async () => {
    const answer = await make({ name: 'laptop' });
    const { token, id } = answer.json as Token;
    expect(answer.status).to.equal(201);
    expect(token).to.match(/^mcpctl_[\w-]{43}$/);
    expect((await whoami(token)).json).to.deep.include({ user: 'ada', token: 'laptop', binding: 'user' });
    const listed = (await t.call('GET /api/v1/tokens')).json as { items: Token[] };
    expect(listed.items.map((item) => [item.name, item.token])).to.deep.equal([
      ['test', undefined],
      ['laptop', undefined],
    ]);
    const rows = await t.connection.db('tokens').where({ id }).select<{ hash: string }[]>('*');
    expect(rows[0]?.hash).to.equal(hashToken(token));
    expect(JSON.stringify(rows)).not.to.include(token.slice(7));
    expect((answer.json as Token).prefix).to.equal(token.slice(0, 11));
    const others = (await t.call('GET /api/v1/tokens', { token: t.tokens.root })).json as { items: Token[] };
    // The text of `admin` was given from outside.
    expect(others.items.map(({ user, prefix }) => [user, prefix?.length])).to.deep.include.members([
      ['ada', 11],
      ['admin', undefined],
    ]);
  });

  it('takes Authorization and x-api-key as one door', async () => {
    const headers = { 'x-api-key': t.tokens.ada };
    expect((await t.call('GET /api/v1/whoami', { token: null, headers })).status).to.equal(200);
    for (const authorization of [
      '',
      'Bearer',
      `Basic ${t.tokens.ada}`,
      t.tokens.ada,
      `Bearer ${t.tokens.ada}x`,
    ]) {
      const answer = await t.call('GET /api/v1/whoami', { token: null, headers: { authorization } });
      expect([answer.status, codeOf(answer)], authorization).to.deep.equal([401, 'unauthenticated']);
      expect(answer.headers.get('www-authenticate')).to.match(/^Bearer/);
    }
    const bare = { token: null, headers: { authorization: `bearer ${t.tokens.ada}` } };
    expect((await t.call('GET /api/v1/whoami', bare)).status).to.equal(200);
  });

  it('stops working here as soon as it is revoked, by id or by name', async () => {
    for (const by of ['id', 'name'] as const) {
      const made = (await make({ name: `by-${by}` })).json as Token;
      expect((await whoami(made.token)).status).to.equal(200);
      expect((await t.call(`DELETE /api/v1/tokens/${made[by]}`)).status).to.equal(204);
      expect((await whoami(made.token)).status).to.equal(401);
    }
  });

  it('stops working at another edge within the life of its cache, and costs it one query meanwhile', async () => {
    let asked = 0;
    let elapsed = 0;
    const tokens = {
      ...t.registry.tokens,
      actorOf: (text: string) => {
        asked += 1;
        return t.registry.tokens.actorOf(text);
      },
    };
    const clock = { ...systemClock, elapsed: () => elapsed };
    const other = createAuthenticator({ tokens, clock, cacheMs: 2_000 });
    const made = (await make({ name: 'x' })).json as Token;
    const actors = await Promise.all([1, 2, 3].map(() => other.actorOf(made.token)));
    expect([actors.map((actor) => actor?.userName), asked]).to.deep.equal([['ada', 'ada', 'ada'], 1]);
    await t.call(`DELETE /api/v1/tokens/${made.id}`);
    elapsed = 1_999;
    expect(await other.actorOf(made.token)).to.not.equal(undefined);
    elapsed = 2_000;
    expect(await other.actorOf(made.token)).to.equal(undefined);
  });

  it('is believed for no longer than two and a half seconds, whatever the setting says, and not at all while nobody can be asked', async () => {
    let elapsed = 0;
    let isAway = false;
    const tokens = {
      ...t.registry.tokens,
      actorOf: (text: string) =>
        isAway ? Promise.reject(new McpctlError('unavailable')) : t.registry.tokens.actorOf(text),
    };
    const clock = { ...systemClock, elapsed: () => elapsed };
    const edge = createAuthenticator({ tokens, clock, cacheMs: 600_000 });
    expect((await edge.actorOf(t.tokens.ada))?.userName).to.equal('ada');
    isAway = true;
    elapsed = 2_499;
    expect((await edge.actorOf(t.tokens.ada))?.userName).to.equal('ada');
    elapsed = 2_500;
    const refused = await edge.actorOf(t.tokens.ada).catch((thrown: unknown) => thrown);
    expect(refused).to.have.property('code', 'unavailable');
  });

  it('stops working when it expires', async () => {
    const made = (await make({ name: 'x', expiresInDays: 1 })).json as Token;
    expect((await whoami(made.token)).json).to.include({ expiresAt: made.expiresAt });
    expect(made.expiresAt).to.match(/^2\d{3}-/);
    await t.connection.db.raw(`update tokens set expires_at = now() where name = 'x'`);
    t.deps.authenticator.forget();
    expect((await whoami(made.token)).status).to.equal(401);
  });

  it('passes on no more time than it has, whoever it is for; one that is bound to pools makes none', async () => {
    const parent = (await make({ name: 'p', preset: 'full', expiresInDays: 2 })).json as Token;
    const child = (await make({ name: 'c', expiresInDays: 300 }, parent.token)).json as Token;
    expect(child.expiresAt).to.equal(parent.expiresAt);
    const short = (await make({ name: 's', preset: 'full', expiresInDays: 1 }, t.tokens.root)).json as Token;
    const admin = { name: 'for ever', user: 'op', binding: 'admin' };
    const ofAnother = (await make({ ...admin, name: 'x' }, short.token)).json as Token;
    expect([ofAnother.user, ofAnother.expiresAt]).to.deep.equal(['op', short.expiresAt]);
    const bound = (await make({ name: 'b', preset: 'full', pools: ['a'] })).json as Token;
    for (const pools of [['a'], undefined])
      expect(codeOf(await make({ name: 'w', pools }, bound.token))).to.equal('forbidden');
  });

  it('lets through what its preset says, and of that what its bindings say', async () => {
    for (const name of ['gpt', 'other'])
      await t.call('POST /api/v1/llms', {
        token: t.tokens.root,
        body: { name, type: 'openai', model: 'm', url: 'http://backend.test/v1' },
      });
    const of = async (body: object, by = t.tokens.root): Promise<string> => {
      const name = `t${Math.random().toString(36).slice(2)}`;
      return ((await make({ name, ...body }, by)).json as Token).token;
    };
    const statusOf = async (token: string, what: string, body?: unknown): Promise<number> =>
      (await t.call(what, { token, body })).status;
    const chat = { llm: 'gpt', request: { messages: [{ role: 'user', content: 'hi' }] } };
    const offer = {
      transports: ['sse'],
      providers: [{ name: 'own', type: 'openai', model: 'm' }],
    };
    const asked = [
      ['GET /api/v1/llms/gpt'],
      ['POST /api/v1/tasks', chat],
      ['POST /api/v1/tasks', { ...chat, llm: 'other' }],
      ['GET /api/v1/tasks'],
      ['POST /api/v1/llms/_provider-register', offer],
      ['GET /api/v1/tokens'],
      ['POST /api/v1/tokens', { name: 'more' }],
      ['GET /api/v1/users'],
      ['PATCH /api/v1/llms/gpt', { tier: 'x' }],
      ['GET /api/v1/whoami'],
    ] as const;
    const all = async (body: object): Promise<string> => {
      const token = await of(body);
      const statuses = [];
      for (const [what, sent] of asked) statuses.push(await statusOf(token, what, sent));
      return statuses.join(' ');
    };
    expect(await all({}), 'call').to.equal('200 202 202 200 403 403 403 403 403 200');
    // It sees its user's own llms, and runs none.
    expect(await all({ preset: 'publish' })).to.equal('200 403 403 403 201 403 403 403 403 200');
    expect(await all({ bindings: [{ role: 'run', resource: 'llm', name: 'gpt' }] }), 'one llm').to.equal(
      '200 202 404 200 403 403 403 403 403 200',
    );
    expect(await all({ preset: 'manage' })).to.match(/^200 202 202 200 \d+ 200 201 200 200 200$/);
    const ci = await of({ bindings: [{ role: 'run', resource: 'llm', name: 'gpt' }] }, t.tokens.ada);
    const llms = (await t.call('GET /api/v1/llms', { token: ci })).json as { items: { name: string }[] };
    expect(llms.items.map(({ name }) => name)).to.deep.equal(['gpt']);
  });

  it('is never wider than the one that made it, whoever it is for, and adds nothing to its preset', async () => {
    const manage = (await make({ name: 'm', preset: 'manage' }, t.tokens.root)).json as Token;
    const refusal = async (body: object, by: string): Promise<string> => {
      const answer = await make({ name: `x${Math.random()}`.replace('.', ''), ...body }, by);
      return `${answer.status} ${String(codeOf(answer))}`;
    };
    expect(await refusal({ preset: 'full' }, manage.token)).to.equal('403 escalation');
    expect(await refusal({ preset: 'full', user: 'bob' }, manage.token)).to.equal('403 escalation');
    expect(await refusal({ preset: 'manage', user: 'bob' }, manage.token)).to.equal('201 undefined');
    const narrow = {
      preset: 'full',
      bindings: [
        { role: 'create', resource: 'token' },
        { role: 'run', resource: 'llm', name: 'gpt' },
      ],
    };
    const maker = (await make({ name: 'maker', ...narrow }, t.tokens.root)).json as Token;
    expect(await refusal({}, maker.token)).to.equal('403 escalation');
    const one = { bindings: [{ role: 'run', resource: 'llm', name: 'gpt' }] };
    expect(await refusal(one, maker.token)).to.equal('201 undefined');
    expect(await refusal({ bindings: [{ role: 'run', resource: 'llm' }] }, maker.token)).to.equal(
      '403 escalation',
    );
    expect(await refusal({ bindings: [{ role: 'view', resource: 'user' }] }, t.tokens.root)).to.equal(
      '400 invalid_request',
    );
    // What bob would get through it is covered, and not all that he has.
    const giver = {
      preset: 'full',
      bindings: [
        { role: 'create', resource: 'token' },
        { role: 'run', resource: 'llm' },
        { role: 'run', resource: 'pool' },
        { role: 'run', resource: 'agent' },
      ],
    };
    const by = (await make({ name: 'giver', ...giver }, t.tokens.root)).json as Token;
    expect(await refusal({ user: 'bob' }, by.token)).to.equal('201 undefined');
    expect(await refusal({ user: 'bob', preset: 'publish' }, by.token)).to.equal('403 escalation');
  });

  it('shows that a task of others ran to who may see it, and what was said in it by `logs` alone', async () => {
    const body = { name: 'gpt', type: 'openai', model: 'm', url: 'http://backend.test/v1' };
    await t.call('POST /api/v1/llms', { token: t.tokens.root, body });
    const request = { messages: [{ role: 'user', content: 'a secret of ada' }] };
    const { id } = (await t.call('POST /api/v1/tasks', { body: { llm: 'gpt', request } })).json as {
      id: string;
    };
    const manage = (await make({ name: 'm', preset: 'manage' }, t.tokens.root)).json as Token;
    const reads = async (what: string, token: string): Promise<[number, boolean]> => {
      const { status, text } = await t.call(what, { token });
      return [status, text.includes('a secret of ada')];
    };
    expect(await reads(`GET /api/v1/tasks/${id}`, t.tokens.root)).to.deep.equal([200, true]);
    expect(await reads(`GET /api/v1/tasks/${id}`, manage.token)).to.deep.equal([200, false]);
    expect(await reads(`GET /api/v1/tasks/${id}/stream`, manage.token)).to.deep.equal([403, false]);
    expect(await reads(`DELETE /api/v1/tasks/${id}`, manage.token)).to.deep.equal([200, false]);
  });

  it('leaves what was made with it where it is told to', async () => {
    const parent = (await make({ name: 'p', preset: 'full' })).json as Token;
    const child = (await make({ name: 'c' }, parent.token)).json as Token & { parentId: string };
    expect(child.parentId).to.equal(parent.id);
    expect((await t.call(`DELETE /api/v1/tokens/${parent.id}?children=keep`)).status).to.equal(204);
    expect([(await whoami(parent.token)).status, (await whoami(child.token)).status]).to.deep.equal([
      401, 200,
    ]);
  });

  it('ends with the one that made it, and so do all that came of it', async () => {
    const parent = (await make({ name: 'p', preset: 'full' })).json as Token;
    const child = (await make({ name: 'c', preset: 'full' }, parent.token)).json as Token;
    const grandchild = (await make({ name: 'g', preset: 'full' }, child.token)).json as Token;
    const sibling = (await make({ name: 's' })).json as Token;
    const making = Promise.all(
      Array.from({ length: 20 }, (_, i) => make({ name: `r${i}` }, grandchild.token)),
    );
    expect((await t.call(`DELETE /api/v1/tokens/${parent.id}`)).status).to.equal(204);
    const raced = (await making).flatMap(({ status, json }) => (status === 201 ? [json as Token] : []));
    t.deps.authenticator.forget();
    for (const { token } of [parent, child, grandchild, ...raced])
      expect((await whoami(token)).status).to.equal(401);
    expect((await whoami(sibling.token)).status).to.equal(200);
  });

  it('lets only admins make tokens for others, or admins', async () => {
    for (const body of [
      { user: 'bob' },
      { user: 'new' },
      { binding: 'admin' },
      { user: 'ada', binding: 'admin' },
    ]) {
      const answer = await make({ name: 'x', ...body });
      expect([answer.status, codeOf(answer)], JSON.stringify(body)).to.deep.equal([403, 'forbidden']);
    }
    expect(await t.registry.users.byName('new')).to.equal(undefined);
    const made = (await make({ name: 'x', user: 'new' }, t.tokens.root)).json as Token;
    expect([made.user, made.binding]).to.deep.equal(['new', 'user']);
    const admin = (await make({ name: 'x', user: 'op', binding: 'admin' }, t.tokens.root)).json as Token;
    expect(admin.binding).to.equal('admin');
    expect(codeOf(await make({ name: 'y', user: 'op', binding: 'user' }, t.tokens.root))).to.equal(
      'invalid_request',
    );
  });

  it('is unique by name until it is revoked', async () => {
    const first = (await make({ name: 'x' })).json as Token;
    const second = await make({ name: 'x' });
    expect([second.status, codeOf(second)]).to.deep.equal([409, 'name_taken']);
    await t.call(`DELETE /api/v1/tokens/${first.id}`);
    expect((await make({ name: 'x' })).status).to.equal(201);
  });

  it('is not made where it cannot be asked what it leads to: its text is shown once', async () => {
    const { groups } = t.deps.registry;
    const asked = groups.danglingOf.bind(groups);
    groups.danglingOf = () => Promise.reject(new McpctlError('unavailable'));
    const refused = await make({ name: 'x' });
    groups.danglingOf = asked;
    expect([refused.status, codeOf(refused)]).to.deep.equal([503, 'unavailable']);
    expect((await make({ name: 'x' })).status).to.equal(201);
  });

  it("is another user's: not there, for anybody but an admin", async () => {
    const made = (await make({ name: 'x' })).json as Token;
    const foreign = await t.call(`DELETE /api/v1/tokens/${made.id}`, { token: t.tokens.bob });
    const random = await t.call('DELETE /api/v1/tokens/6f1c3c8e-0000-4000-8000-000000000001', {
      token: t.tokens.bob,
    });
    expect([foreign.status, codeOf(foreign)]).to.deep.equal([404, 'token_not_found']);
    const { requestId: _a, ...one } = foreign.json as Record<string, unknown>;
    const { requestId: _b, ...two } = random.json as Record<string, unknown>;
    expect(one).to.deep.equal(two);
    const names = (answer: Answer): string[] =>
      (answer.json as { items: Token[] }).items.map((item) => item.user);
    expect(new Set(names(await t.call('GET /api/v1/tokens', { token: t.tokens.bob })))).to.deep.equal(
      new Set(['bob']),
    );
    expect(names(await t.call('GET /api/v1/tokens', { token: t.tokens.root }))).to.include.members([
      'ada',
      'bob',
      'admin',
    ]);
    expect((await t.call(`DELETE /api/v1/tokens/${made.id}`, { token: t.tokens.root })).status).to.equal(204);
  });
});

describe('who may join a pool', () => {
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());

  it('is for its owner and admins to say', async () => {
    const publish = (token: string, name: string): Promise<Answer> =>
      t.call('POST /api/v1/llms/_provider-register', {
        token,
        body: {
          transports: ['redis', 'sse'],
          providers: [{ name, type: 'openai', model: 'm', poolName: 'team' }],
        },
      });
    expect((await publish(t.tokens.ada, 'a')).status).to.equal(201);
    const refused = await publish(t.tokens.bob, 'b');
    expect([refused.status, codeOf(refused)]).to.deep.equal([409, 'pool_not_yours']);
    const say = (token: string, what: string, user = 'bob'): Promise<Answer> =>
      t.call(`POST /api/v1/pools/team/${what}`, { token, body: { user } });
    expect(codeOf(await say(t.tokens.bob, 'allow'))).to.equal('forbidden');
    expect(codeOf(await say(t.tokens.ada, 'allow', 'nobody'))).to.equal('invalid_request');
    expect((await say(t.tokens.ada, 'allow')).json).to.deep.equal({ poolKey: 'team', allowed: ['bob'] });
    expect((await publish(t.tokens.bob, 'b')).status).to.equal(201);
    expect((await say(t.tokens.root, 'deny')).json).to.deep.equal({ poolKey: 'team', allowed: [] });
    expect(codeOf(await publish(t.tokens.bob, 'c'))).to.equal('pool_not_yours');
  });

  it('is shown with its owner, who hands it over; an admin gives a key that nobody uses', async () => {
    const say = (token: string, key: string, user: string): Promise<Answer> =>
      t.call(`POST /api/v1/pools/${key}/owner`, { token, body: { user } });
    const ownerOf = async (key: string): Promise<unknown> =>
      ((await t.call(`GET /api/v1/pools/${key}`)).json as { owner?: unknown }).owner;
    expect(await ownerOf('team')).to.equal('ada');
    const { items } = (await t.call('GET /api/v1/pools')).json as { items: { owner: string }[] };
    expect(items.map(({ owner }) => owner)).to.deep.equal(['ada']);
    expect(codeOf(await say(t.tokens.bob, 'team', 'bob'))).to.equal('forbidden');
    expect(codeOf(await say(t.tokens.ada, 'nothing', 'bob'))).to.equal('pool_not_found');
    expect(codeOf(await say(t.tokens.ada, 'gpt-4o', 'ada'))).to.equal('pool_not_found');
    expect((await say(t.tokens.ada, 'team', 'bob')).json).to.deep.equal({ poolKey: 'team', owner: 'bob' });
    expect(await ownerOf('team')).to.equal('bob');
    expect(codeOf(await say(t.tokens.ada, 'team', 'ada'))).to.equal('forbidden');
    const publish = (): Promise<Answer> =>
      t.call('POST /api/v1/llms/_provider-register', {
        body: { transports: ['redis'], providers: [{ name: 'gpt-4o', type: 'openai', model: 'm' }] },
      });
    expect(codeOf(await publish())).to.equal('name_reserved');
    expect((await say(t.tokens.root, 'gpt-4o', 'ada')).status).to.equal(200);
    expect((await publish()).status).to.equal(201);
    expect(await ownerOf('gpt-4o')).to.equal('ada');
  });
});
