import { randomUUID } from 'node:crypto';
import { closed } from '../../core/access/grants.ts';
import { grantedTo } from '../../core/access/presets.ts';
import type { TaskRow } from '../../core/task/task.ts';
import type { Definition, Verb } from '../../core/resources/define.ts';
import { project } from '../../core/resources/talk/project.ts';
import { stored } from '../../core/resources/index.ts';
import { server } from '../../core/resources/mcp/server.ts';

/** `none` has no token; `adaIn` and `rootIn` are tokens of ada and of an admin that are bound to the pool `in`. */
export const roles = ['none', 'ada', 'bob', 'root', 'adaIn', 'rootIn'] as const;
export type Role = (typeof roles)[number];

/** `ok`: whatever comes of it, it was no refusal. */
export type Verdict = 'ok' | 401 | 403 | 404;

export const isBound = (role: Role): boolean => role.endsWith('In');
/** What lies in no pool: each sees their own of it, or all there is. */
export const ofNoPool = (role: Role): Verdict => (isBound(role) ? 403 : 'ok');
export const isOwner = (role: Role): boolean => role.startsWith('ada');
export const isAdmin = (role: Role): boolean => role.startsWith('root');

interface ResourceRule {
  of: (role: Role) => Verdict;
  /** @param w has an llm for what refers to one. */
  body?: (w: { llm: string; made: Readonly<Record<string, string>> }) => unknown;
  /** Also for who has no token. */
  isPublic?: boolean;
}

const open = ['everyone', 'shared'];

/** A right as the definition says it, of something that is ada's. A bound token reaches nothing that lies in no pool. */
const holders =
  ({ may, word }: Definition, verb: Verb, otherwise: Verdict | ((role: Role) => Verdict)) =>
  (role: Role): Verdict => {
    const isWhose = may[verb] === 'owner' && isOwner(role);
    const makes = verb === 'create' && grantedTo.user.allows(verb, { word, isPrivate: true }, undefined);
    const has = isAdmin(role) || open.includes(may[verb] ?? '') || isWhose || makes;
    if (has && !isBound(role)) return 'ok';
    return typeof otherwise === 'function' ? otherwise(role) : otherwise;
  };

/** A body that makes one, over an llm that is there. */
export function exampleOf(
  { example, word }: Definition,
  { llm, made = {} }: { llm: string; made?: Readonly<Record<string, string>> },
): Record<string, unknown> {
  const agent = word === 'personality' && { agent: made['agents'] };
  return { ...example, ...('llm' in example && { llm }), ...agent };
}

/** Who may make the calls of what is no more than a definition: a resource that is added is among them by itself. */
export function resourceRules(): Record<string, ResourceRule> {
  const chat = { messages: [{ role: 'user', content: 'hi' }] };
  const compose: ResourceRule = { of: (role) => (isBound(role) ? 404 : 'ok'), body: () => chat };
  const byRight =
    (otherwise: Verdict) =>
    (role: Role): Verdict =>
      isAdmin(role) && !isBound(role) ? 'ok' : otherwise;
  const members: ResourceRule = { of: (role) => (isAdmin(role) && !isBound(role) ? 'ok' : 404) };
  // As who may make a project may, and a token that is bound to pools none.
  const apply: ResourceRule = {
    of: ofNoPool,
    body: () => ({ documents: [{ resource: 'project', name: `n-${randomUUID()}` }] }),
  };
  // What is not there is nobody's to delete.
  const applyDelete: ResourceRule = {
    of: () => 404,
    body: () => ({ documents: [{ resource: 'project', name: `n-${randomUUID()}` }] }),
  };
  const rules: Record<string, ResourceRule> = {
    // No session of theirs has published a server whose tools it could tell.
    'POST /llms/_provider-tools': {
      of: () => 404,
      body: () => ({
        ...{ providerSessionId: randomUUID(), journal: randomUUID(), server: 'files', tools: [] },
        info: { name: 'files', version: '1' },
      }),
    },
    'POST /llms/_provider-resources': {
      of: () => 404,
      body: () => ({ providerSessionId: randomUUID(), server: 'files' }),
    },
    'POST /llms/_provider-said': {
      of: () => 404,
      body: () => ({
        ...{ providerSessionId: randomUUID(), server: 'files', orderId: randomUUID() },
        says: { state: 'ready', reason: null },
      }),
    },
    // Nobody that is known asks: test/edge/device-login.test.ts has who decides.
    'POST /login/device': { of: () => 'ok', body: () => ({ machine: 'm' }), isPublic: true },
    'POST /login/device/token': {
      of: () => 'ok',
      body: () => ({ deviceCode: 'x'.repeat(43) }),
      isPublic: true,
    },
    // Likewise; test/edge/join-codes.test.ts has who lets in whom.
    'POST /join': { of: () => 404, body: () => ({ code: '0000-0000-0000', machine: 'm' }), isPublic: true },
    'POST /join-codes': { of: ofNoPool, body: () => ({ pools: ['new'] }) },
    'GET /join-codes': { of: () => 'ok' },
    'DELETE /join-codes/{id}': { of: () => 404 },
    'POST /join-requests': {
      of: ofNoPool,
      body: () => ({ code: 'BCDF-GHJK' }),
    },
    // None of these is a worker's own credential.
    'POST /leave': { of: () => 403 },
    'POST /agents/{name}/compose': compose,
    'POST /apply': apply,
    'POST /apply/delete': applyDelete,
    'POST /backup': { of: byRight(403), body: () => ({ secrets: 'none' }) },
    'POST /restore': { of: byRight(403), body: () => ({ backup: 'none' }) },
    'PUT /groups/{name}/members/{user}': members,
    'DELETE /groups/{name}/members/{user}': members,
    // No project has the server: there is nothing to approve. test/mcp/pins.test.ts has who approves what.
    'GET /servers/{name}/changes': { of: holders(server, 'view', 404) },
    'POST /servers/{name}/approve': {
      of: holders(server, 'view', 404),
      body: () => ({ tools: [] }),
    },
    // Nobody runs it; test/mcp/process.test.ts has what comes of them, and who reads what others' print.
    'GET /servers/{name}/logs': { of: holders(server, 'edit', 404) },
    'POST /servers/{name}/restart': { of: holders(server, 'edit', 404) },
    // test/mcp/traffic/watch.test.ts has what each sees of it.
    'GET /projects/{name}/traffic': { of: holders(project, 'view', 404) },
    'GET /projects/{name}/watchers': { of: holders(project, 'edit', 404) },
    'GET /keyring': { of: byRight(403) },
    'GET /secrets/{name}/versions': { of: byRight(404) },
    // Whether it is there is nobody's who may not see it.
    'POST /secrets/{name}/reveal': { of: byRight(403), body: () => ({}) },
    'POST /secrets/{name}/rollback': { of: byRight(404), body: () => ({}) },
  };
  for (const definition of stored) {
    const { plural, key, may, word } = definition;
    const one = `${plural}/{${key}}`;
    const whole = (w: Parameters<typeof exampleOf>[1]): unknown => {
      const { name: _name, ...rest } = exampleOf(definition, w);
      return rest;
    };
    const body = (w: Parameters<typeof exampleOf>[1]): unknown => ({
      ...exampleOf(definition, w),
      name: `n-${randomUUID()}`,
    });
    const isClosed = closed.includes(word);
    const seen = open.includes(may.view ?? '');
    const unseen = (role: Role): Verdict => (seen && !isBound(role) ? 403 : 404);
    rules[`GET /${plural}`] = { of: isClosed ? holders(definition, 'view', 403) : () => 'ok' };
    rules[`POST /${plural}`] = { of: holders(definition, 'create', 403), body };
    rules[`GET /${one}`] = { of: holders(definition, 'view', 404) };
    rules[`PATCH /${one}`] = { of: holders(definition, 'edit', unseen), body: () => ({}) };
    rules[`DELETE /${one}`] = { of: holders(definition, 'delete', unseen) };
    // Who does not see it makes one of that name, which is taken: 409, and a bound token makes none.
    // Where it is seen, it is no new one.
    const putBy = (role: Role): Verdict =>
      isBound(role) || (seen && role === 'bob') || (isClosed && !isAdmin(role)) ? 403 : 'ok';
    rules[`PUT /${one}`] =
      key === 'name' ? { of: putBy, body: whole } : { of: holders(definition, 'edit', unseen), body };
  }
  // Of an agent that one may edit.
  rules['POST /personalities'] = {
    ...rules['POST /personalities'],
    of: (role) => (isBound(role) || role === 'bob' ? 403 : 'ok'),
  };
  return { ...rules, ...personalityRules() };
}

/** Below their agent, which everyone sees; none of these is there: what is there is asked for at `/personalities`. */
function personalityRules(): Record<string, ResourceRule> {
  const [all, one] = ['/agents/{name}/personalities', '/agents/{name}/personalities/{personality}'];
  const seen = (role: Role): Verdict => (isBound(role) ? 404 : 'ok');
  const none = (): Verdict => 404;
  return {
    [`GET ${all}`]: { of: seen },
    [`POST ${all}`]: {
      of: (role) => (isBound(role) ? 404 : role === 'bob' ? 403 : 'ok'),
      body: () => ({ name: `n-${randomUUID()}` }),
    },
    [`GET ${one}`]: { of: none },
    [`PATCH ${one}`]: { of: none, body: () => ({}) },
    [`DELETE ${one}`]: { of: none },
    [`PUT ${one}/prompts/{prompt}`]: { of: none, body: () => ({}) },
    [`DELETE ${one}/prompts/{prompt}`]: { of: none },
  };
}

/** Who may make the calls of a thread of ada's, with an agent over an llm in that pool. */
export function threadRules(): Record<
  string,
  { of: (role: Role, where: Where) => Verdict; body?: () => unknown; headers?: () => Record<string, string> }
> {
  const seenBy = (role: Role, where: Where): Verdict =>
    reaches(role, where) && (isOwner(role) || isAdmin(role)) ? 'ok' : 404;
  // What was said is its owner's alone.
  const readBy = (role: Role, where: Where): Verdict => (reaches(role, where) && isOwner(role) ? 'ok' : 404);
  const turn = { body: () => ({ message: 'hi' }), headers: () => ({ prefer: 'respond-async' }) };
  return {
    'POST /agents/{name}/chat': { of: (role, where) => (reaches(role, where) ? 'ok' : 404), ...turn },
    'GET /agents/{name}/threads': { of: () => 'ok' },
    // As every agent, it is shown to nobody who is bound to pools.
    'POST /agents/{name}/threads': { of: (role) => (isBound(role) ? 404 : 'ok'), body: () => ({}) },
    'GET /threads': { of: () => 'ok' },
    'GET /threads/{id}': { of: seenBy },
    'DELETE /threads/{id}': { of: seenBy },
    'PATCH /threads/{id}': { of: readBy, body: () => ({ pinned: true }) },
    'POST /threads/{id}/fork': { of: readBy, body: () => ({ atTurn: 0 }) },
    'GET /threads/{id}/export': { of: readBy },
    'POST /threads/{id}/turns/{n}/retry': { of: readBy, headers: turn.headers },
    'POST /threads/{id}/turns/{n}/tool-results': { of: readBy, body: () => [] },
    'GET /threads/{id}/stream': { of: readBy },
    'POST /threads/{id}/turns/{n}/continue': { of: readBy, headers: turn.headers },
    'GET /threads/{id}/messages': { of: readBy },
    'POST /threads/{id}/turns': { of: readBy, ...turn },
    'GET /threads/{id}/turns/{n}': { of: readBy },
    'DELETE /threads/{id}/turns/{n}': { of: readBy },
  };
}

export type Where = 'in' | 'out';

/** What is ada's, of each kind one in the pool `in` and one in the pool `out`; what a call may use up is made for it. */
export interface World {
  llm: string;
  pool: Where;
  task: TaskRow;
  session: string;
  /** A token of ada's that is bound to nothing. */
  token: string;
  /** One of each resource that is no more than a definition, by its plural: what names it. */
  made: Record<string, string>;
}

export const reaches = (role: Role, where: Where): boolean => !isBound(role) || where === 'in';

export interface Rule {
  /** By whom, and of which pool's. */
  of: (role: Role, where: Where) => Verdict;
  body?: (world: World) => unknown;
  headers?: (world: World) => Record<string, string>;
  /** Also for who has no token. */
  isPublic?: boolean;
}

export const everybody = (): Verdict => 'ok';
export const whoReaches =
  (otherwise: Verdict) =>
  (role: Role, where: Where): Verdict =>
    reaches(role, where) ? 'ok' : otherwise;

export const hi = { messages: [{ role: 'user', content: 'hi' }] };
export const later = () => ({ prefer: 'respond-async' });

const chat = (w: World) => ({ model: w.llm, ...hi });
const admins = (role: Role): Verdict => (role === 'root' ? 'ok' : 403);
/** The calls of the doors that the document does not tell of: the same holds for them. */
export const otherRules: Record<string, Rule> = {
  'POST /v1/chat/completions': { of: whoReaches(403), body: chat, headers: later },
  'POST /v1/completions': {
    of: whoReaches(403),
    body: (w) => ({ model: w.llm, prompt: 'hi' }),
    headers: later,
  },
  'POST /v1/embeddings': {
    of: whoReaches(403),
    body: (w) => ({ model: w.llm, input: 'hi' }),
    headers: later,
  },
  'POST /v1/responses': {
    of: whoReaches(403),
    body: (w) => ({ model: w.llm, input: 'hi' }),
    headers: later,
  },
  'POST /v1/messages': {
    of: whoReaches(403),
    body: (w) => ({ ...chat(w), max_tokens: 1 }),
    headers: later,
  },
  'POST /v1/messages/count_tokens': { of: whoReaches(403), body: chat, headers: later },
  'GET /v1/models': { of: everybody },
  'GET /v1/models/{id}': { of: whoReaches(404) },
  'GET /metrics': { of: admins },
  'GET /metrics/targets': { of: admins },
  // No worker has the id of the task.
  'GET /metrics/workers/{id}': { of: (role) => (role === 'root' ? 404 : 403) },
  'GET /openapi.json': { of: everybody },
  'GET /livez': { of: everybody, isPublic: true },
  'GET /readyz': { of: everybody, isPublic: true },
  'GET /': { of: everybody, isPublic: true },
};
