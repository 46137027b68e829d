import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { everything } from '../../core/access.ts';
import { closed } from '../../core/access/grants.ts';
import { grantedTo } from '../../core/access/presets.ts';
import { createRegistry, type Registry } from '../../core/registry/registry.ts';
import type { Definition } from '../../core/resources/define.ts';
import { agent } from '../../core/resources/talk/agent.ts';
import { stored } from '../../core/resources/index.ts';
import { modelRoutes } from '../../edge/openai/models.ts';
import { openAiRoutes } from '../../edge/openai/routes.ts';
import { healthRoutes } from '../../edge/routes/health.ts';
import { metricsRoutes } from '../../edge/routes/metrics.ts';
import { openApiRoutes } from '../../edge/routes/openapi.ts';
import { cookieFor, ownPage } from '../support/admin.ts';
import { edgeFixture, type Answer, type EdgeFixture } from '../support/edge.ts';
import {
  everybody,
  hi,
  later,
  otherRules,
  reaches,
  whoReaches,
  type Rule,
  type Where,
  type World,
  isAdmin,
  isBound,
  ofNoPool,
  isOwner,
  exampleOf,
  resourceRules,
  threadRules,
  roles,
  type Role,
  type Verdict,
} from '../support/rights.ts';
import { callsOf } from '../support/routes.ts';
import { submitTask } from '../support/tasks.ts';

/** A stream that goes on for ever; its own tests open it. */
const isEndless = (call: string): boolean => /^GET .*(stream|\/events|\/traffic)$/.test(call);
/** What these name they leave as it was, or as it would be left the next time. */
const asksAlone = new Set([
  'POST /llms/{name}/infer',
  ...['allow', 'deny', 'owner'].map((call) => `POST /pools/{key}/${call}`),
  ...['compose', 'chat', 'threads'].map((call) => `POST /agents/{name}/${call}`),
]);
/** Whoever asks next may ask for the same: others that make something name nothing that they could change. */
const usesNothingUp = (call: string): boolean =>
  asksAlone.has(call) || (call.startsWith('POST') && !/\{|_provider/.test(call));

const owners =
  (otherwise: Verdict) =>
  (role: Role, where: Where): Verdict =>
    !reaches(role, where) ? 404 : isOwner(role) || isAdmin(role) ? 'ok' : otherwise;
const adminsThere = (role: Role, where: Where): Verdict =>
  isAdmin(role) && reaches(role, where) ? 'ok' : 403;
const itsWorker = (role: Role, where: Where): Verdict => (isOwner(role) && reaches(role, where) ? 'ok' : 404);

const ofOwners = [
  ...['GET', 'DELETE'].map((method) => `${method} /tasks/{id}`),
  ...['GET /tasks/{id}/stream', 'GET /tasks/{id}/explain', 'POST /tasks/{id}/retry'],
  ...['GET', 'DELETE'].map((method) => `${method} /sessions/{id}`),
  'GET /sessions/{id}/usage',
  ...['pause', 'drain', 'resume'].map((call) => `POST /sessions/{id}/${call}`),
];

const llm = ({ pool }: World) => ({
  type: 'openai',
  model: 'm',
  url: 'http://backend.test/v1',
  poolName: pool,
});
const session = ({ session: providerSessionId }: World) => ({ providerSessionId });
const guest = () => ({ user: 'bob' });

const ollama = (body: (world: World) => unknown): Rule => ({ of: whoReaches(403), body, headers: later });

/** Each call of docs/openapi.json is here: one that is new fails until somebody has said who may. */
const rules: Record<string, Rule> = {
  'GET /llms': { of: everybody },
  'POST /llms': { of: adminsThere, body: (w) => ({ name: `n-${randomUUID()}`, ...llm(w) }) },
  'GET /llms/{name}': { of: whoReaches(404) },
  'PUT /llms/{name}': { of: adminsThere, body: llm },
  'PATCH /llms/{name}': {
    of: (role, where) => (reaches(role, where) ? adminsThere(role, where) : 404),
    body: () => ({ description: 'x' }),
  },
  'DELETE /llms/{name}': { of: owners(403) },
  'GET /llms/{name}/members': { of: whoReaches(404) },
  'POST /llms/{name}/infer': { of: whoReaches(403), body: () => hi, headers: later },
  'GET /sessions': { of: everybody },
  ...Object.fromEntries(ofOwners.map((call) => [call, { of: owners(404) }])),
  'GET /pools': { of: everybody },
  'GET /pools/{key}': { of: whoReaches(404) },
  'POST /pools/{key}/allow': { of: owners(403), body: guest },
  'POST /pools/{key}/deny': { of: owners(403), body: guest },
  'POST /pools/{key}/owner': { of: owners(403), body: () => ({ user: 'ada' }) },
  'POST /tasks': { of: whoReaches(403), body: (w) => ({ llm: w.llm, request: hi }) },
  'GET /tasks': { of: everybody },
  'GET /tasks/counts': { of: everybody },
  'GET /llms/{name}/explain': { of: whoReaches(404) },
  'POST /llms/{name}/explain': { of: whoReaches(404), body: () => ({ request: hi }) },
  'POST /access/who-can': {
    of: (role) => (isAdmin(role) && !isBound(role) ? 'ok' : 403),
    body: () => ({ verb: 'run', resource: 'llm' }),
  },
  // What a release brings is everybody's; there is none of that name.
  'GET /templates/{name}': { of: () => 404 },
  ...Object.fromEntries(
    ['overview', 'usage', 'templates', 'whoami', 'events'].map((at) => [`GET /${at}`, { of: everybody }]),
  ),
  ...Object.fromEntries(['GET /audit', 'GET /system'].map((call) => [call, { of: ofNoPool }])),
  'POST /access/review': { of: everybody, body: () => ({ verb: 'run', resource: 'llm' }) },
  'GET /tokens': { of: everybody },
  'POST /tokens': {
    of: ofNoPool,
    body: () => ({ name: `t${randomUUID().slice(0, 8)}` }),
  },
  'DELETE /tokens/{id}': { of: (role) => (role === 'ada' || role === 'root' ? 'ok' : 404) },
  'POST /llms/_provider-register': {
    of: (role, where) => (!reaches(role, where) ? 403 : isOwner(role) ? 'ok' : 404),
    body: (w) => ({
      ...session(w),
      transports: ['sse'],
      providers: [{ name: w.llm, type: 'openai', model: 'm', poolName: w.pool }],
    }),
  },
  'POST /llms/_provider-heartbeat': { of: itsWorker, body: session },
  'POST /llms/_provider-goodbye': { of: everybody, body: session },
  'GET /llms/_provider-stream': {
    of: itsWorker,
    headers: (w) => ({ 'x-mcpctl-provider-session': w.session }),
  },
  'GET /api/version': { of: everybody },
  'GET /api/tags': { of: everybody },
  'GET /api/ps': { of: everybody },
  // Nobody serves these llms, so there is no model to show to anybody.
  'POST /api/show': { of: () => 404, body: (w) => ({ model: w.llm }) },
  'POST /api/chat': ollama((w) => ({ model: w.llm, ...hi })),
  'POST /api/generate': ollama((w) => ({ model: w.llm, prompt: 'hi' })),
  'POST /api/embed': ollama((w) => ({ model: w.llm, input: 'hi' })),
  'POST /api/embeddings': {
    of: whoReaches(403),
    body: (w) => ({ model: w.llm, prompt: 'hi' }),
    headers: () => ({ prefer: 'respond-async' }),
  },
  // Nobody has claimed these tasks, so nobody speaks for them; test/relay and test/system have those who do.
  'POST /llms/_provider-task/{id}/stream': {
    of: () => 404,
    headers: () => ({ 'content-type': 'application/x-ndjson' }),
  },
  'GET /llms/_provider-task/{id}/body': { of: () => 404 },
  'POST /llms/_provider-task/{id}/deliver': { of: () => 404 },
  'POST /llms/_provider-task/{id}/result': { of: () => 404, body: () => ({ error: 'x' }) },
  'GET /resources': { of: everybody },
  ...resourceRules(),
  ...threadRules(),
};

const document = JSON.parse(readFileSync('docs/openapi.json', 'utf8')) as {
  paths: Record<string, Record<string, unknown>>;
};
const methods = new Set(['get', 'post', 'put', 'patch', 'delete']);
const calls = Object.entries(document.paths).flatMap(([path, at]) =>
  Object.keys(at)
    .filter((method) => methods.has(method))
    .map((method) => `${method.toUpperCase()} ${path}`),
);

describe('who may do what', function () {
  this.timeout(60_000);
  let t: EdgeFixture;
  let registry: Registry;
  let tokens: Record<Role, string | null>;
  /** For calls that change nothing. */
  let seen: Record<Where, World>;
  /** For those that make something more and use nothing up: what they make names it. */
  let shared: Record<Where, World>;

  before(async () => {
    t = await edgeFixture({
      MCPCTL_MAX_USER_SESSIONS: '5000',
      MCPCTL_MAX_USER_LLMS: '5000',
      MCPCTL_MAX_USER_TOKENS: '5000',
      MCPCTL_QUOTAS: stored.map(({ word }) => `${word}=5000/5000`).join(','),
    });
    registry = createRegistry(t.connection, t.deps.config);
    const bound = async (userId: string): Promise<string> => {
      const made = { userId, name: 'bound', pools: ['in'], expiresInDays: null, createdBy: null };
      return (await t.registry.tokens.create(made)).text;
    };
    const [adaIn, rootIn] = [await bound(t.ada.id), await bound(t.root.id)];
    tokens = { none: null, ...t.tokens, adaIn, rootIn };
    const both = async (where: Where): Promise<World> =>
      withThread(await withEach(await world(where), stored));
    seen = { in: await both('in'), out: await both('out') };
    shared = { in: await both('in'), out: await both('out') };
  });
  after(() => t.close());

  /** A new session with one llm in the pool, a task in it, a token. */
  const world = async (where: Where): Promise<World> => {
    const name = `${where}-${randomUUID()}`;
    const publication = t.publication(t.ada, [t.offer(name, { poolName: where })], { transport: 'sse' });
    const { sessionId } = publication;
    await registry.sessions.register(publication);
    const task = await submitTask(t, { poolKey: where, llmName: where });
    const asked = { userId: t.ada.id, name: randomUUID(), pools: null, expiresInDays: null, createdBy: null };
    const { row } = await registry.tokens.create(asked);
    return { llm: name, pool: where, task, session: sessionId, token: row.id, made: { sessions: sessionId } };
  };
  /** One of each of these resources, ada's. */
  const withEach = async (w: World, definitions: readonly Definition[]): Promise<World> => {
    const { id: userId, name: userName } = t.ada;
    const ofToken = { tokenId: w.token, tokenName: '', binding: 'user', pools: null, filter: null } as const;
    const ada = { userId, userName, ...ofToken, granted: grantedTo.user };
    const made: Record<string, string> = {};
    for (const definition of definitions) {
      const values = {
        ...exampleOf(definition, { ...w, made: { ...w.made, ...made } }),
        name: `${w.pool}-${randomUUID()}`,
      };
      const by = closed.includes(definition.word) ? await t.deps.authenticator.actorOf(t.tokens.root) : ada;
      const { row } = await t.deps.registry
        .resources(definition)
        .create(values, by ?? expect.fail('no admin'));
      made[definition.plural] = definition.key === 'name' ? values.name : row.id;
    }
    return { ...w, made: { ...w.made, ...made } };
  };
  /** A thread of ada's with one turn, with an agent that is made for it. */
  const withThread = async (w: World): Promise<World> => {
    const { made } = await withEach(w, [agent]);
    const options = { body: { message: 'hi' }, headers: later() };
    const { json } = await t.call(`POST /api/v1/agents/${made['agents'] ?? ''}/chat`, options);
    return { ...w, made: { ...w.made, threads: (json as { threadId: string }).threadId } };
  };
  /** What a call may use up is made for it, and nothing else. */
  const worldFor = async (call: string, where: Where): Promise<World> => {
    if (call.startsWith('GET')) return seen[where];
    if (usesNothingUp(call)) return shared[where];
    if (call.includes(' /threads')) return await withThread(seen[where]);
    const own = stored.filter(({ plural }) => call.split('/')[1] === plural);
    return own.length > 0 ? await withEach(seen[where], own) : await world(where);
  };
  const ask = (call: string, role: Role, w: World): Promise<Answer> => askAs(call, tokens[role], w);
  const askAs = async (call: string, token: string | null, w: World): Promise<Answer> => {
    const [method = '', path = ''] = call.split(' ');
    const made = w.made[path.split('/')[1] ?? ''];
    const ids: Record<string, string> = { name: made ?? w.llm, key: w.pool, n: '1', user: 'bob' };
    const id =
      made ??
      (path.startsWith('/sessions')
        ? w.session
        : path.startsWith('/tokens')
          ? w.token
          : path.startsWith('/v1/models')
            ? w.llm
            : w.task.id);
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, param: string) => ids[param] ?? id);
    const rule = rules[call] ?? otherRules[call];
    const body = rule?.body?.(w);
    const isWhole = call in otherRules || filled.startsWith('/api/');
    return await t.call(`${method} ${isWhole ? '' : '/api/v1'}${filled}`, {
      token,
      ...(body === undefined ? {} : { body }),
      headers: rule?.headers?.(w) ?? {},
    });
  };

  for (const call of calls)
    it(`${call}: is for whom it is for, and no other`, async function () {
      const rule = rules[call];
      if (!rule) return expect.fail(`say in this file who may ${call}`);
      const isStream = isEndless(call);
      for (const where of ['in', 'out'] as const) {
        // Who is refused uses nothing up: the next one asks for the same.
        let left: World | undefined;
        for (const role of roles) {
          const expected = role === 'none' && !rule.isPublic ? 401 : rule.of(role, where);
          if (isStream && expected === 'ok') continue;
          const w = left ?? (await worldFor(call, where));
          const { status } = await ask(call, role, w);
          const verdict = [401, 403, 404].includes(status) ? status : 'ok';
          left = verdict === 'ok' ? undefined : w;
          expect([role, where, verdict]).to.deep.equal([role, where, expected]);
          if (call.endsWith('goodbye')) {
            const hasLeft = (await t.registry.sessions.byId(w.session))?.leftAt !== null;
            expect([role, where, hasLeft]).to.deep.equal([
              role,
              where,
              itsWorker(role, where) === 'ok' && role !== 'none',
            ]);
          }
        }
      }
    });

  it('the calls of the other doors are for whom they are for, and no other', async () => {
    const v1 = [openAiRoutes, modelRoutes].flatMap((make) => callsOf(make(t.deps)));
    const bare = [healthRoutes, metricsRoutes, openApiRoutes].flatMap((make) => callsOf(make(t.deps)));
    const served = new Set([...v1.map((call) => call.replace(' /', ' /v1/')), ...bare]);
    expect([...served]).to.have.members(Object.keys(otherRules));
    const own = { in: await world('in'), out: await world('out') };
    for (const w of Object.values(own)) await ask('POST /llms/_provider-register', 'ada', w); // somebody serves
    for (const [call, rule] of Object.entries(otherRules)) {
      for (const where of ['in', 'out'] as const) {
        for (const role of roles) {
          const expected = role === 'none' && !rule.isPublic ? 401 : rule.of(role, where);
          const { status } = await ask(call, role, own[where]);
          const verdict = [401, 403, 404].includes(status) ? status : 'ok';
          expect([call, role, where, verdict]).to.deep.equal([call, role, where, expected]);
        }
      }
    }
  });

  it('the pages of admins show a bound token the tasks of its pools, and nothing that is of no pool', async () => {
    for (const role of ['adaIn', 'rootIn', 'bob'] as const) {
      const cookie = await cookieFor(t.url, tokens[role] ?? '');
      const look = async (path: string): Promise<number> =>
        (await t.call(`GET /admin/${path}`, { token: null, headers: { cookie, ...ownPage } })).status;
      const bound = isBound(role);
      expect(await look('queues/api/queues'), role).to.equal(bound ? 403 : 200);
      expect(await look(`tasks/${seen.in.task.id}`), role).to.equal(bound ? 200 : 404);
      expect(await look(`tasks/${seen.out.task.id}`), role).to.equal(404);
    }
  });

  it('a bound token is told of no other token in what was used, and nothing of the stores', async () => {
    const end = { status: 'error', code: 'internal', message: 'x' } as const;
    const own = { scope: { ...everything, ownerId: t.ada.id }, after: undefined, limit: 1 };
    const other = (await t.registry.tokens.list(own))[0]?.id ?? expect.fail('no token');
    const { id } = await submitTask(t, { poolKey: 'in', tokenId: other });
    await t.registry.tasks.close(id, end);
    const used = async (role: Role, by: string): Promise<string> =>
      (await t.call(`GET /api/v1/usage?by=${by}`, { token: tokens[role] })).text;
    expect(await used('ada', 'token')).to.include(other);
    for (const role of ['adaIn', 'rootIn'] as const) {
      expect(await used(role, 'token'), role).to.equal('{"items":[]}');
      expect(await used(role, 'pool'), role).to.include('"in"');
      const ready = await t.call('GET /readyz?verbose', { token: tokens[role] });
      expect(ready.json, role).to.deep.equal({ status: 'ok' });
    }
  });

  it('every list tells of what may be seen, and of nothing else', async () => {
    const { in: inside, out: outside } = seen;
    const lists = calls.filter((call) => call.startsWith('GET') && !/[{_]/.test(call) && !isEndless(call));
    for (const call of [...lists, 'GET /v1/models']) {
      for (const role of roles) {
        if (role === 'none') continue;
        const path = /^GET .(v1|api)\//.test(call) ? call : call.replace('GET ', 'GET /api/v1');
        const query = call === 'GET /usage' ? '?by=pool' : '';
        const { text } = await t.call(`${path}${query}`, { token: tokens[role] });
        const isTold = ({ llm, task, token, made }: World): boolean =>
          [llm, task.id, token, ...Object.values(made)].some((id) => text.includes(id));
        if (isBound(role))
          expect([isTold(outside), text.includes('"out"')], `${call} ${role}`).to.deep.equal([false, false]);
        const isPrivate = stored.some(({ plural, may }) => call === `GET /${plural}` && may.view === 'owner');
        const own = role === 'bob' && (isPrivate || /tasks|tokens|usage/.test(call));
        if (own) expect([call, role, isTold(inside)]).to.deep.equal([call, role, false]);
      }
    }
    for (const role of ['adaIn', 'rootIn'] as const) {
      const listed = await t.call('GET /api/v1/tokens', { token: tokens[role] });
      expect((listed.json as { items: unknown[] }).items).to.have.length(1);
      expect((await t.call('GET /metrics', { token: tokens[role] })).status).to.equal(403);
    }
  });

  it('a token for calling makes its calls, reads what is its user’s own of them, and manages nothing', async () => {
    const made = await t.call('POST /api/v1/tokens', { token: tokens.root, body: { name: 'calls' } });
    const { token } = made.json as { token: string };
    const through: string[] = [];
    // Whether there is a model to show is as somebody serves it.
    for (const call of calls.filter((each) => each !== 'POST /api/show')) {
      if (isEndless(call) || rules[call]?.isPublic) continue;
      const { status } = await askAs(call, token, seen.in);
      if (![401, 403, 404].includes(status)) through.push(call);
    }
    const listed = [
      'llms',
      'pools',
      'sessions',
      'threads',
      'templates',
      'tasks',
      'tasks/counts',
      'usage',
      'whoami',
      'resources',
    ];
    const ofAll = ['overview', 'servers', 'projects', 'agents', 'prompts', 'personalities'];
    expect(through).to.have.members([
      ...[...listed, ...ofAll].map((path) => `GET /${path}`),
      ...['', '/members', '/explain'].map((path) => `GET /llms/{name}${path}`),
      ...['GET /pools/{key}', 'POST /tasks', 'POST /access/review'],
      ...['', '/personalities', '/threads'].map((path) => `GET /agents/{name}${path}`),
      ...['compose', 'chat', 'threads'].map((path) => `POST /agents/{name}/${path}`),
      ...['version', 'tags', 'ps'].map((path) => `GET /api/${path}`),
      ...['chat', 'generate', 'embed', 'embeddings'].map((path) => `POST /api/${path}`),
      // The goodbye of a session that is none of its user's does nothing.
      ...['{name}/infer', '{name}/explain', '_provider-goodbye'].map((path) => `POST /llms/${path}`),
    ]);
    for (const of of ['servers', 'projects', 'prompts', 'personalities', 'sessions'])
      expect((await t.call(`GET /api/v1/${of}`, { token })).json, of)
        .to.include({ next: null })
        .and.have.property('items').that.is.empty;
  });

  it('callers see who answered by its name, admins alone by its session', async () => {
    const w = await world('in');
    const lost = {
      counts: 'attempt',
      llmId: w.llm,
      session: w.session,
      startedAt: null,
      reason: 'x',
    } as const;
    await t.registry.tasks.nextEpoch(w.task.id, w.task.epoch, lost);
    const shown = async (role: Role): Promise<string> => (await ask('GET /tasks/{id}', role, w)).text;
    expect(await shown('ada'))
      .to.contain(w.llm)
      .and.not.contain(w.session);
    expect(await shown('root')).to.contain(w.session);
  });
});
