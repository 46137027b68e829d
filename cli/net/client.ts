import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import type { TokenCreate } from '../../core/access.ts';
import type { applyDeleteSchema, applySchema } from '../../core/declared/apply.ts';
import type { explainAskSchema, ExplainView } from '../../core/task/explain.ts';
import { isErrorCode, McpctlError } from '../../core/errors.ts';
import { nearest } from '../../core/runtime/nearest.ts';
import type { ReviewView, WhoCanView } from '../../core/access.ts';
import type { CatalogueEntry } from '../../core/resources/catalogue.ts';
import { howCalls, type HowCalls } from './how.ts';
import type { Http } from './http.ts';
import {
  ADMISSION_MS,
  inferAsync,
  inferOnce,
  inferStream,
  type InferCall,
  type InferEvent,
} from './infer.ts';
import type { Keyed } from '../keyed.ts';
import { readEntry, readKeyed } from '../resources/calls.ts';
import { secretCalls, type SecretCalls } from './secrets.ts';
import { serverCalls, type ServerCalls } from './servers.ts';
import { openEvents, type ServerEvent } from './sse.ts';
import { turnCalls, type TurnCalls } from './turn/calls.ts';
import { workerCalls, type WorkerCalls } from './workers.ts';
import {
  readExplain,
  readLlm,
  readPage,
  readPool,
  readReview,
  readWhoCan,
  readTask,
  readToken,
  readApplied,
  readWhoami,
  type AppliedSeen,
  type SeenLlm,
  type SeenPool,
  type SeenTask,
  type SeenToken,
  type SeenWhoami,
  readAnswer,
} from './views.ts';
import { taskCountsSchema, type TaskCountsView } from '../../core/task/task.ts';

/** Bodies as they are sent. */
export type ApplyAsked = z.input<typeof applySchema>;
export type ApplyDeleteAsked = z.input<typeof applyDeleteSchema>;
export type ExplainAsked = z.input<typeof explainAskSchema>;

type Filters = Readonly<Record<string, string | undefined>>;

/** The edge's API, one method a route. Every answer is parsed; every error is an McpctlError or Cancelled. */
export interface Client {
  server: string;
  whoami(): Promise<SeenWhoami>;
  llms: {
    /** All of them, page by page. */
    list(filters: Filters): Promise<SeenLlm[]>;
    get(name: string): Promise<SeenLlm>;
    members(name: string): Promise<SeenPool>;
  };
  pools: {
    list(): Promise<SeenPool[]>;
    get(key: string): Promise<SeenPool>;
    allow(key: string, user: string): Promise<void>;
    deny(key: string, user: string): Promise<void>;
    /** Makes the user its owner. */
    give(key: string, user: string): Promise<void>;
  };
  workers: WorkerCalls;
  how: HowCalls;
  /** Who would take a call of that name, or has that task, and why not the others. */
  explain(kind: 'llm' | 'task', name: string, ask?: ExplainAsked): Promise<ExplainView>;
  access: {
    /** Who may do that, and by what? */
    whoCan(asked: { verb: string; resource: string; name?: string | undefined }): Promise<WhoCanView>;
    /** May one, or the user `as`, do that, and by what? */
    review(asked: {
      verb: string;
      resource: string;
      name?: string | undefined;
      as?: string | undefined;
    }): Promise<ReviewView>;
  };
  groups: {
    add(group: string, user: string): Promise<void>;
    remove(group: string, user: string): Promise<void>;
  };
  tasks: {
    /** The newest `most`; `more` says whether there are others. */
    list(filters: Filters, most: number): Promise<{ items: SeenTask[]; more: boolean }>;
    /** How many there are by how they ended, of the newest. */
    count(filters: Filters): Promise<TaskCountsView>;
    /** @param waitS seconds that the server may hold the answer until the task has ended. */
    get(id: string, waitS?: number): Promise<SeenTask>;
    cancel(id: string): Promise<SeenTask>;
    /** Asks the same again. @returns the new one. */
    retry(id: string): Promise<SeenTask>;
    /** Its events after the one with that id, or from the first. */
    events(id: string, from: { after?: string; signal: AbortSignal }): Promise<AsyncIterable<ServerEvent>>;
  };
  tokens: {
    list(): Promise<SeenToken[]>;
    create(body: TokenCreate): Promise<SeenToken>;
    revoke(id: string, how: { keepChildren: boolean }): Promise<void>;
  };
  /** Those that are no more than what is said of them, in the catalogue of this release or of the server. */
  resources: {
    /** What the server says there is. */
    catalogue(): Promise<CatalogueEntry[]>;
    list(entry: CatalogueEntry, filters: Filters): Promise<Keyed[]>;
    /** One after the other, a page at a time, however many there are. */
    each(entry: CatalogueEntry, filters: Filters): AsyncIterable<Keyed>;
    /** The first of a list that may be long. */
    first(entry: CatalogueEntry, filters: Filters, most: number): Promise<{ items: Keyed[]; more: boolean }>;
    /** By its key, or its name. @throws McpctlError `bad_answer`, and what the server refuses with. */
    get(entry: CatalogueEntry, name: string): Promise<Keyed>;
    create(entry: CatalogueEntry, body: Keyed['raw']): Promise<Keyed>;
    /** @param revision the one that was seen: it is refused where there is another by now. */
    replace(
      entry: CatalogueEntry,
      name: string,
      how: { body: Keyed['raw']; revision: number },
    ): Promise<Keyed>;
    /** Some fields of it. */
    change(entry: CatalogueEntry, name: string, body: Keyed['raw']): Promise<Keyed>;
    rename(entry: CatalogueEntry, name: string, to: string): Promise<Keyed>;
    /** @param how `transferTo`: who is to have what was its own; `force`: of an llm, also one that a running worker publishes. */
    delete(
      entry: CatalogueEntry,
      name: string,
      how?: { transferTo?: string | undefined; force?: boolean },
    ): Promise<void>;
  };
  /**
   * All of the documents or none, in their order. @throws McpctlError with faults by the places of documents
   * (`documents.3.llm`).
   */
  apply(body: ApplyAsked): Promise<AppliedSeen>;
  /** Deletes what documents name, all of it or nothing. @throws McpctlError as `apply`. */
  applyDelete(body: ApplyDeleteAsked): Promise<AppliedSeen>;
  secrets: SecretCalls;
  servers: ServerCalls;
  /** Conversations with agents. */
  turns: TurnCalls;
  infer: {
    stream(call: InferCall): AsyncIterable<InferEvent>;
    once(call: InferCall): AsyncIterable<InferEvent>;
    /** @returns the task, accepted and not waited for. */
    async(call: InferCall): Promise<SeenTask>;
  };
}

const API = '/api/v1';
/** More pages than this and a server is sending us in circles. */
const MAX_PAGES = 1000;
const PAGE = 500;

const path = (...parts: string[]): string => [API, ...parts.map(encodeURIComponent)].join('/');

interface List<T> {
  path: string;
  filters: Filters;
  read: (item: unknown) => T;
}
/** The first `most` of a list, and whether there are more. */
type Pages = <T>(list: List<T>, most: number) => Promise<{ items: T[]; more: boolean }>;

function taskCalls(http: Http, pages: Pages): Client['tasks'] {
  const one = (id: string): string => path('tasks', id);
  return {
    list: (filters, most) => pages({ path: path('tasks'), filters, read: readTask }, most),
    get: async (id, waitS) => {
      const wait = waitS === undefined ? {} : { query: { wait: waitS }, limitMs: (waitS + 30) * 1000 };
      return readTask(await http.json({ method: 'GET', path: one(id), ...wait }));
    },
    count: async (query) =>
      readAnswer(
        taskCountsSchema,
        await http.json({ method: 'GET', path: path('tasks', 'counts'), query }),
        'The server told no counts that this release understands.',
      ),
    cancel: async (id) => readTask(await http.json({ method: 'DELETE', path: one(id) })),
    retry: async (id) => readTask(await once(http, path('tasks', id, 'retry'))),
    events: async (id, { after, signal }) => {
      const call = { method: 'GET' as const, path: `${one(id)}/stream`, query: { after } };
      const headers = { accept: 'text/event-stream, application/json' };
      return (await openEvents(http, { ...call, headers, signal, limitMs: ADMISSION_MS })).events;
    },
  };
}

/** A server that gives the same position twice would be asked for ever. */
async function* everyOne<T>(http: Http, { path: at, filters, read }: List<T>): AsyncGenerator<T> {
  for (let after: string | undefined; ;) {
    const query = { ...filters, limit: PAGE, after };
    const page = readPage(await http.json({ method: 'GET', path: at, query }), read);
    yield* page.items;
    if (page.next === null) return;
    if (page.next === after) throw new McpctlError('bad_answer', 'The list of the server does not end.');
    after = page.next;
  }
}

function resourceCalls(http: Http, pages: Pages): Client['resources'] {
  const list = async (entry: CatalogueEntry, filters: Filters): Promise<Keyed[]> =>
    (await pages({ path: path(entry.plural), filters, read: readKeyed(entry) }, Infinity)).items;
  /** Where single ones cannot be asked for. */
  const among = async (entry: CatalogueEntry, name: string): Promise<Keyed> => {
    const all = await list(entry, {});
    const keyed = all.find(({ key }) => key === name) ?? all.find(({ raw }) => raw['name'] === name);
    if (keyed) return keyed;
    const names = all.flatMap(({ raw }) => (typeof raw['name'] === 'string' ? [raw['name']] : []));
    const near = nearest(name, names);
    const hint = near.length > 0 ? ` Did you mean ${near.join(' or ')}?` : '';
    const code = `${entry.word}_not_found`;
    throw new McpctlError(
      isErrorCode(code) ? code : 'route_not_found',
      `There is no ${entry.word} named "${name}".${hint}`,
    );
  };
  const change = async (entry: CatalogueEntry, name: string, body: Keyed['raw']): Promise<Keyed> =>
    readKeyed(entry)(await http.json({ method: 'PATCH', path: path(entry.plural, name), body }));
  return {
    catalogue: async () => {
      const { items } = await pages({ path: path('resources'), filters: {}, read: readEntry }, Infinity);
      return items.filter((entry) => entry !== undefined);
    },
    list,
    each: (entry, filters) => everyOne(http, { path: path(entry.plural), filters, read: readKeyed(entry) }),
    first: (entry, filters, most) =>
      pages({ path: path(entry.plural), filters, read: readKeyed(entry) }, most),
    get: async (entry, name) => {
      if (!entry.calls.includes('get')) return among(entry, name);
      return readKeyed(entry)(await http.json({ method: 'GET', path: path(entry.plural, name) }));
    },
    create: async (entry, body) =>
      readKeyed(entry)(await http.json({ method: 'POST', path: path(entry.plural), body })),
    replace: async (entry, name, { body, revision }) => {
      const headers = { 'if-match': `"${revision}"` };
      const at = path(entry.plural, name);
      return readKeyed(entry)(await http.json({ method: 'PUT', path: at, body, headers }));
    },
    change,
    rename: (entry, name, to) => change(entry, name, { name: to }),
    delete: async (entry, name, { transferTo, force = false } = {}) => {
      const query = { transferTo, force: force ? 'true' : undefined };
      await http.json({ method: 'DELETE', path: path(entry.plural, name), query });
    },
  };
}

/** Who is in which group, and who may what. */
const identityCalls = (http: Http): Pick<Client, 'access' | 'groups'> => ({
  access: {
    whoCan: async (body) =>
      readWhoCan(await http.json({ method: 'POST', path: path('access', 'who-can'), body })),
    review: async (body) =>
      readReview(await http.json({ method: 'POST', path: path('access', 'review'), body })),
  },
  groups: {
    add: async (group, user) =>
      void (await http.json({ method: 'PUT', path: path('groups', group, 'members', user) })),
    remove: async (group, user) =>
      void (await http.json({ method: 'DELETE', path: path('groups', group, 'members', user) })),
  },
});

/** What has a file of its own. */
const furtherCalls = (http: Http): Pick<Client, 'how' | 'workers' | 'secrets' | 'servers' | 'turns'> => ({
  how: howCalls(http),
  workers: workerCalls(http),
  secrets: secretCalls(http),
  servers: serverCalls(http),
  turns: turnCalls(http),
});

/** Under a key, so that it may be sent again where its answer was lost. */
const once = (http: Http, at: string, body?: unknown): Promise<unknown> =>
  http.json({ method: 'POST', path: at, body, headers: { 'idempotency-key': randomUUID() } });

export function createClient(http: Http): Client {
  const get = (at: string, query?: Readonly<Record<string, string | number | undefined>>): Promise<unknown> =>
    http.json({ method: 'GET', path: at, ...(query ? { query } : {}) });
  const post = (at: string, body: unknown): Promise<unknown> => http.json({ method: 'POST', path: at, body });
  const remove = (at: string): Promise<unknown> => http.json({ method: 'DELETE', path: at });

  const pages: Pages = async (list, most) => {
    const items = [];
    let after: string | undefined;
    for (let n = 0; n < MAX_PAGES; n++) {
      const limit = Math.min(PAGE, most - items.length);
      const page = readPage(await get(list.path, { ...list.filters, limit, after }), list.read);
      items.push(...page.items);
      if (page.next === null) return { items, more: false };
      if (items.length >= most) return { items: items.slice(0, most), more: true };
      after = page.next;
    }
    throw new McpctlError('bad_answer', 'The list of the server does not end.');
  };
  const all = async <T>(at: string, filters: Filters, read: (item: unknown) => T): Promise<T[]> =>
    (await pages({ path: at, filters, read }, Infinity)).items;

  return {
    server: http.server,
    whoami: async () => readWhoami(await get(path('whoami'))),
    llms: {
      list: (filters) => all(path('llms'), filters, readLlm),
      get: async (name) => readLlm(await get(path('llms', name))),
      members: async (name) => readPool(await get(path('llms', name, 'members'))),
    },
    pools: {
      list: () => all(path('pools'), {}, readPool),
      get: async (key) => readPool(await get(path('pools', key))),
      allow: async (key, user) => void (await post(path('pools', key, 'allow'), { user })),
      deny: async (key, user) => void (await post(path('pools', key, 'deny'), { user })),
      give: async (key, user) => void (await post(path('pools', key, 'owner'), { user })),
    },
    explain: async (kind, name, ask) => {
      const at = path(`${kind}s`, name, 'explain');
      return readExplain(await (ask ? post(at, ask) : get(at)));
    },
    ...identityCalls(http),
    ...furtherCalls(http),
    tasks: taskCalls(http, pages),
    resources: resourceCalls(http, pages),
    tokens: {
      list: () => all(path('tokens'), {}, readToken),
      create: async (body) => readToken(await post(path('tokens'), body)),
      revoke: async (id, { keepChildren }) =>
        void (await remove(path('tokens', id) + (keepChildren ? '?children=keep' : ''))),
    },
    apply: async (body) => readApplied(await once(http, path('apply'), body)),
    applyDelete: async (body) => readApplied(await once(http, path('apply', 'delete'), body)),
    infer: {
      stream: (call) => inferStream(http, call),
      once: (call) => inferOnce(http, call),
      async: async (call) => readTask(await inferAsync(http, call)),
    },
  };
}
