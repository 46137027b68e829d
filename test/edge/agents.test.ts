import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { edgeFixture, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';

const hi = { messages: [{ role: 'user', content: 'hi' }] };
const later = { prefer: 'respond-async' };

describe('agents', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  const asBob = (options: Call = {}): Call => ({ token: t.tokens.bob, ...options });
  const register = async (session: string, providers: object[]): Promise<void> => {
    const body = { providerSessionId: session, instanceId: randomUUID(), transports: ['sse'], providers };
    const made = await t.call('POST /api/v1/llms/_provider-register', { body });
    expect(made.status, made.text).to.equal(201);
  };
  const offer = (name: string, more: object = {}): object => ({ name, type: 'openai', model: 'm', ...more });
  const make = async (name: string, more: object, options: Call = {}): Promise<Answer> => {
    const made = await t.call('POST /api/v1/agents', { body: { name, llm: 'desk', ...more }, ...options });
    expect(made.status, made.text).to.equal(201);
    return made;
  };
  const chat = (model: string, options: Call = {}): Promise<Answer> =>
    t.call('POST /v1/chat/completions', { body: { model, ...hi }, headers: later, ...options });
  const ids = async (token: string): Promise<string[]> => {
    const { data } = (await t.call('GET /v1/models', { token })).json as { data: { id: string }[] };
    return data.map(({ id }) => id);
  };

  before(async () => {
    t = await edgeFixture();
    await register(randomUUID(), [
      offer('desk', { poolName: 'qwen', capabilities: { contextLength: 4096 } }),
      offer('rack', { poolName: 'qwen', capabilities: { contextLength: 8192, tools: true } }),
    ]);
    await register(randomUUID(), [offer('gone')]);
    await make('reviewer', { systemPrompt: 'You review.', defaultParams: { temperature: 0.5, seed: 7 } });
    await make('diary', { visibility: 'private', systemPrompt: 'Secret.' });
    await make('strict', { pinMode: 'only' });
    const house = { name: 'style', content: 'Be brief.', agent: 'reviewer' };
    expect((await t.call('POST /api/v1/prompts', { body: house })).status).to.equal(201);
  });
  after(() => t.close());

  it('are shown without their texts and defaults to who may not edit them, alone and in lists', async () => {
    const own = (await t.call('GET /api/v1/agents/reviewer')).json;
    expect(own).to.include({ systemPrompt: 'You review.', pool: 'qwen', llm: 'desk' });
    expect(own).to.deep.include({ defaultParams: { temperature: 0.5, seed: 7 } });
    for (const path of ['/agents/reviewer', '/agents']) {
      const { text } = await t.call(`GET /api/v1${path}`, asBob());
      expect(text).to.include('"reviewer"').and.to.include('"qwen"');
      expect(text).not.to.match(/You review|temperature|Secret|diary|systemPrompt|defaultParams/);
    }
    expect((await t.call('GET /api/v1/agents/diary', asBob())).status).to.equal(404);
    expect((await t.call('GET /api/v1/agents/diary', { token: t.tokens.root })).text).to.include('Secret.');
  });

  it('refuse defaults that are each call’s own, and numbers that are not kept', async () => {
    const body = { defaultParams: { model: 'x', stream: true, seed: 2 ** 60 } };
    const { json } = await t.call('PATCH /api/v1/agents/reviewer', { body });
    const paths = (json as { details: { path: string }[] }).details.map(({ path }) => path);
    expect(paths).to.have.members(['model', 'stream', 'seed'].map((name) => `defaultParams.${name}`));
  });

  it('are, like what they are made of and what is said to them, changed and deleted as they were read; of a field that there is not the nearest is named', async () => {
    const of = { agent: 'reviewer' };
    for (const [path, made, field] of [
      ['projects', { name: 'once' }, 'description'],
      ['agents', { name: 'once', llm: 'desk' }, 'description'],
      ['prompts', { ...of, name: 'once', content: 'x' }, 'content'],
      ['personalities', { ...of, name: 'once' }, 'description'],
      ['agents/reviewer/threads', { title: 'once' }, 'title'],
    ] as const) {
      const created = await t.call(`POST /api/v1/${path}`, { body: made });
      expect(created.status, created.text).to.equal(201);
      const at = created.headers.get('location') ?? '';
      const etag = async (): Promise<string> => (await t.call(`GET ${at}`)).headers.get('etag') ?? '';
      const write = async (method: string, ifMatch: string, body?: object): Promise<string> => {
        const { status, json } = await t.call(`${method} ${at}`, { headers: { 'if-match': ifMatch }, body });
        const { code = '' } = (json ?? {}) as { code?: string };
        return `${status} ${code}`;
      };
      const first = await etag();
      expect(first, path).to.match(/^"\d+"$/);
      expect(await write('PATCH', '"99"', { [field]: 'y' }), path).to.equal('412 stale_revision');
      const odd = await t.call(`PATCH ${at}`, { body: { [`${field}s`]: 'y' } });
      expect([odd.status, odd.text.includes(`did you mean ${field}?`)], odd.text).to.deep.equal([400, true]);
      expect(await write('PATCH', first, { [field]: 'y' }), path).to.equal('200 ');
      expect(await write('DELETE', first), path).to.equal('412 stale_revision');
      expect(((await t.call(`GET ${at}`)).json as Record<string, unknown>)[field], path).to.equal('y');
      expect(await write('DELETE', await etag()), path).to.equal('204 ');
      expect((await t.call(`GET ${at}`)).status, path).to.equal(404);
    }
  });

  it('say what they would send, and to others of what it is made', async () => {
    const request = { messages: [{ role: 'system', content: 'Mine.' }, ...hi.messages], seed: null };
    const own = await t.call('POST /api/v1/agents/reviewer/compose', { body: request });
    expect(own.status, own.text).to.equal(200);
    expect(own.json).to.include({ agent: 'reviewer', llm: 'desk', pool: 'qwen', pinMode: 'pool' });
    expect((own.json as { body: string }).body).to.equal(
      '{"messages":[{"role":"system","content":"You review.\\n\\nBe brief.\\n\\nMine."},{"role":"user","content":"hi"}],"temperature": 0.5}',
    );
    const others = await t.call('POST /api/v1/agents/reviewer/compose', asBob({ body: request }));
    expect(others.text).not.to.match(/review\.|brief|style|temperature/);
    const { pieces } = others.json as { pieces: { source: string; bytes: number }[] };
    expect(pieces.map(({ source, bytes }) => `${source} ${bytes}`)).to.deep.equal([
      'agent 11',
      'agent prompt 9',
      'call 5',
    ]);
    const unseen = await t.call('POST /api/v1/agents/diary/compose', asBob({ body: request }));
    expect(unseen.status).to.equal(404);
  });

  it('are models where they may be run, with the room of their pool', async () => {
    const bound = async (userId: string, pools: string[]): Promise<string> => {
      const made = { userId, name: randomUUID(), pools, expiresInDays: null, createdBy: null };
      return (await t.registry.tokens.create(made)).text;
    };
    const agents = (all: string[]): string[] =>
      all.filter((id) => ['reviewer', 'diary', 'strict'].includes(id));
    expect(agents(await ids(t.tokens.ada))).to.deep.equal(['diary', 'reviewer', 'strict']);
    expect(agents(await ids(t.tokens.bob))).to.deep.equal(['reviewer', 'strict']);
    expect(agents(await ids(await bound(t.bob.id, ['qwen'])))).to.deep.equal(['reviewer', 'strict']);
    const outside = await bound(t.ada.id, ['gone']);
    expect(agents(await ids(outside))).to.deep.equal([]);
    const one = async (id: string, token = t.tokens.bob): Promise<unknown> =>
      (await t.call(`GET /v1/models/${id}`, { token })).json;
    expect(await one('reviewer')).to.include({ owned_by: 'mcpctl-agent', context_length: 8192 });
    expect(await one('strict')).to.include({ context_length: 4096 });
    for (const model of ['diary', 'reviewer']) {
      const token = model === 'diary' ? t.tokens.bob : outside;
      expect((await t.call(`GET /v1/models/${model}`, { token })).status).to.equal(404);
      const refused = await chat(model, { token });
      expect(refused.status).to.equal(404);
      expect(refused.text).to.include('model_not_found');
    }
    // One that is another's alone is a model to who is granted that one by its name.
    const grant = async (role: string): Promise<void> => {
      const subjects = [{ kind: 'user', name: 'bob' }];
      const body = { subjects, bindings: [{ role, resource: 'agent', name: 'diary' }] };
      const made = await t.call('PUT /api/v1/rbac/of-diary', { token: t.tokens.root, body });
      expect(made.status, made.text).to.be.oneOf([200, 201]);
    };
    await grant('run');
    expect(agents(await ids(t.tokens.bob))).to.deep.equal(['diary', 'reviewer', 'strict']);
    expect((await chat('diary', asBob({ headers: later }))).status).to.equal(202);
    await grant('view');
    expect(agents(await ids(t.tokens.bob))).to.deep.equal(['reviewer', 'strict']);
    const seen = await chat('diary', asBob());
    expect([seen.status, seen.text.includes("may not run the agent 'diary'")], seen.text).to.deep.equal([
      403,
      true,
    ]);
    await t.call('DELETE /api/v1/rbac/of-diary', { token: t.tokens.root });
  });

  it('what is composed is what is kept; the caller sees what they said, the owner of the agent all of it', async () => {
    const chatBody = { model: 'reviewer', messages: [{ role: 'system', content: 'Mine.' }, ...hi.messages] };
    const key = { ...later, 'idempotency-key': randomUUID() };
    const asked = (): Promise<Answer> => chat('reviewer', asBob({ body: chatBody, headers: key }));
    const made = await asked();
    expect(made.status, made.text).to.equal(202);
    const id = made.headers.get('x-mcpctl-task-id') ?? '';
    const { requestBody } = await t.registry.tasks.bodies(id);
    expect(requestBody).to.equal(
      '{"model":"reviewer","messages":[{"role":"system","content":"You review.\\n\\nBe brief.\\n\\nMine."},{"role":"user","content":"hi"}],"seed": 7,"temperature": 0.5}',
    );
    const seen = async (token: string): Promise<{ request: unknown }> =>
      (await t.call(`GET /api/v1/tasks/${id}`, { token })).json as { request: unknown };
    expect((await seen(t.tokens.bob)).request).to.deep.equal(chatBody);
    expect(JSON.stringify((await seen(t.tokens.root)).request)).to.include('You review.');
    // The same call is the same, whatever became of the agent.
    await t.call('PATCH /api/v1/agents/reviewer', { body: { systemPrompt: 'You review code.' } });
    const again = await asked();
    expect(again.headers.get('x-mcpctl-task-id')).to.equal(id);
    expect(again.headers.get('idempotency-replayed')).to.equal('true');
    // What a person tries again from what they see is composed once.
    const { request } = await seen(t.tokens.root);
    const retried = await t.call('POST /api/v1/tasks', { body: { llm: 'strict', request } });
    expect(retried.status, retried.text).to.equal(202);
    const { pin } = (await t.call(`GET /api/v1/tasks/${(retried.json as { id: string }).id}`)).json as {
      pin: string;
    };
    expect(pin).to.equal((await t.registry.llms.byName('desk'))?.id);
    await t.call('DELETE /api/v1/agents/strict');
    const { agents: composition } = t.registry;
    expect((await composition.compositionOf((retried.json as { id: string }).id))?.ownerId).to.equal(null);
  });

  it('answer chat completions alone, on the members that they may use, and say so', async () => {
    const sentence = async (path: string, body: object, headers = {}): Promise<string> => {
      const answer = await t.call(`POST ${path}`, { body: { model: 'reviewer', ...body }, headers });
      expect(answer.status, answer.text).to.equal(400);
      return answer.text;
    };
    expect(await sentence('/v1/responses', { input: 'hi' })).to.include(
      'An agent answers chat completions alone',
    );
    expect(await sentence('/v1/messages', { ...hi, max_tokens: 5 })).to.include('and not messages');
    expect(await sentence('/v1/embeddings', { input: 'hi' })).to.include('and not embeddings');
    await make('other', { pinMode: 'only' });
    const pinned = await chat('other', { headers: { ...later, 'x-mcpctl-pin': 'rack' } });
    expect(pinned.status).to.equal(400);
    expect(pinned.text).to.include("runs on 'desk'");
  });

  it('name the llm that they are pinned to where nobody is there', async () => {
    await make('lonely', { llm: 'gone' });
    await t.connection
      .db('llms')
      .where({ name: 'gone' })
      .update({ status: 'inactive', inactiveReason: 'publisher_gone', inactiveSince: new Date() });
    const answer = await chat('lonely', { headers: {} });
    expect(answer.status).to.equal(503);
    expect(answer.text).to.include("No active Llm in pool 'gone' (pinned: gone)");
    expect((await t.call('GET /api/v1/agents/lonely')).json).to.include({ status: 'inactive', pool: 'gone' });
  });
});
