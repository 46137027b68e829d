import { expect } from 'chai';
import type { Guarded, Verb } from '../../core/resources/define.ts';
import { resources, stored } from '../../core/resources/index.ts';
import { cookieFor, ownPage } from './admin.ts';
import type { Answer, EdgeFixture } from './edge.ts';
import type { identityCalls } from './identity.ts';
import { exampleOf } from './rights.ts';
import { submitTask } from './tasks.ts';

/** One that rights are asked of. */
export interface Thing {
  /** What a binding calls it; null: of that resource nothing has a name. */
  called: string | null;
  /** By the verbs that there are calls for: what is answered to the bearer of a token. */
  ask: Partial<Record<Verb, (token: string) => Promise<number>>>;
}

/** Of a resource: how one is made, whose it is, and what may be asked of it. */
export interface Kind {
  rights: Guarded;
  make(name: string, owner: 'root' | 'ada'): Promise<Thing>;
  /** One of that name is made with a call of that token; `isMadeUnnamed`: whatever it is called, no right asks for that. */
  isMadeUnnamed?: boolean;
  create?: (name: string, token: string) => Promise<number>;
  /** Bindings without which nothing is shown, whatever is granted of it. */
  besides?: readonly string[];
  /** What is answered where it may be seen and not that, where that is no 403; and where it may not be seen, no 404. */
  otherwise?: { seen?: Partial<Record<Verb, number>>; unseen?: Partial<Record<Verb, number>> };
}

const hi = { messages: [{ role: 'user', content: 'hi' }] };
const backend = { type: 'openai', model: 'm', url: 'http://backend.test/v1' };
const later = { prefer: 'respond-async' };

/** Over an llm `base`, which ada may run, one `uses`, which she may edit, and with agents `nest` of ada's and `roots` of root's. */
export function kindsOf(t: () => EdgeFixture, { api, llm }: ReturnType<typeof identityCalls>): Kind[] {
  const status = async (call: string, body: unknown, token: string): Promise<number> =>
    (await api(call, body, token)).status;
  const madeOf = (answer: Answer): { id?: string; name?: string } => {
    expect(answer.status, answer.text).to.equal(201);
    return answer.json as { id?: string; name?: string };
  };
  const ids = async (owner: 'root' | 'ada'): Promise<string> =>
    (await t().registry.users.byName(owner))?.id ?? expect.fail(owner);

  /** What root has made is theirs, with its name. */
  const isOf = async (
    owner: 'root' | 'ada',
    table: string,
    where: Readonly<Record<string, string | undefined>>,
  ): Promise<void> => {
    if (owner === 'root') return;
    const ownerId = await ids(owner);
    const { db } = t().connection;
    const rows = await db(table)
      .where(where)
      .update({ ownerId })
      .returning<{ name?: string; key?: string }[]>('*');
    for (const { name, key } of rows)
      await db('nameOwners')
        .where({ name: name ?? key })
        .update({ ownerId });
  };

  const ofDefinitions = stored.map((definition): Kind => {
    const { plural, key: naming, word } = definition;
    const body = (name: string, agents: string) => ({
      ...exampleOf(definition, { llm: 'base', made: { agents } }),
      name,
      ...('visibility' in definition.fields && { visibility: 'private' }),
    });
    return {
      rights: definition,
      ...(word === 'secret' && { besides: ['edit:llm:uses'], otherwise: { unseen: { run: 400 } } }),
      async make(name, owner) {
        const { id } = madeOf(await api(`POST /${plural}`, body(name, owner === 'ada' ? 'nest' : 'roots')));
        await isOf(owner, plural, { id });
        const at = `/${plural}/${naming === 'id' ? (id ?? '') : name}`;
        const [key] = Object.keys(definition.example['data'] ?? {});
        const run: Thing['ask'] = {
          ...(word === 'agent' && {
            run: async (token: string) =>
              (await t().call(`POST /api/v1${at}/chat`, { token, body: { message: 'hi' }, headers: later }))
                .status,
          }),
          // To run a secret is to refer to it.
          ...(word === 'secret' && {
            run: (token: string) =>
              status('PATCH /llms/uses', { apiKeyRef: { secretRef: { name, key } } }, token),
          }),
        };
        return {
          called: name,
          ask: {
            view: (token) => status(`GET ${at}`, undefined, token),
            edit: (token) => status(`PATCH ${at}`, {}, token),
            ...run,
            delete: (token) => status(`DELETE ${at}`, undefined, token),
          },
        };
      },
      create: (name, token) => status(`POST /${plural}`, body(name, 'nest'), token),
    };
  });

  const kinds: Kind[] = [
    {
      rights: resources.llm,
      async make(name, owner) {
        madeOf(await llm(name, `pool-of-${name}`));
        await isOf(owner, 'llms', { name });
        return {
          called: name,
          ask: {
            view: (token) => status(`GET /llms/${name}`, undefined, token),
            edit: (token) => status(`PATCH /llms/${name}`, { description: 'x' }, token),
            run: (token) => status('POST /tasks', { llm: name, request: hi }, token),
            delete: (token) => status(`DELETE /llms/${name}`, undefined, token),
          },
        };
      },
      create: (name, token) => status('POST /llms', { name, ...backend }, token),
    },
    {
      rights: resources.pool,
      async make(name, owner) {
        madeOf(await llm(`in-${name}`, name));
        await isOf(owner, 'pools', { key: name });
        return {
          called: name,
          ask: {
            view: (token) => status(`GET /pools/${name}`, undefined, token),
            edit: (token) => status(`POST /pools/${name}/allow`, { user: 'bob' }, token),
            run: (token) => status('POST /tasks', { llm: name, request: hi }, token),
          },
        };
      },
    },
    {
      rights: resources.task,
      async make(_name, owner) {
        const { id } = await submitTask(t(), { ownerId: await ids(owner) });
        return {
          called: null,
          ask: {
            view: (token) => status(`GET /tasks/${id}`, undefined, token),
            delete: (token) => status(`DELETE /tasks/${id}`, undefined, token),
          },
        };
      },
    },
    {
      rights: resources.session,
      isMadeUnnamed: true,
      async make(name, owner) {
        const by = t()[owner];
        const publication = t().publication(by, [`of-${name}`], { transport: 'sse' });
        await t().registry.sessions.register(publication);
        const at = `/sessions/${publication.sessionId}`;
        return {
          called: publication.sessionId,
          ask: {
            view: (token) => status(`GET ${at}`, undefined, token),
            edit: (token) => status(`POST ${at}/pause`, {}, token),
            delete: (token) => status(`DELETE ${at}`, undefined, token),
          },
        };
      },
      create: (name, token) =>
        status(
          'POST /llms/_provider-register',
          { transports: ['sse'], providers: [{ name, type: 'openai', model: 'm' }] },
          token,
        ),
    },
    {
      rights: resources.token,
      async make(name, owner) {
        const asked = { userId: await ids(owner), name, pools: null, expiresInDays: null, createdBy: null };
        const { row } = await t().registry.tokens.create(asked);
        return {
          called: null,
          ask: {
            view: async (token) => {
              for (let after = ''; ;) {
                const { json, text } = await api(`GET /tokens?limit=200${after}`, undefined, token);
                if (text.includes(row.id)) return 200;
                const { next } = json as { next?: string | null };
                if (!next) return 404;
                after = `&after=${next}`;
              }
            },
            delete: (token) => status(`DELETE /tokens/${row.id}`, undefined, token),
          },
        };
      },
    },
    {
      rights: resources.thread,
      async make(_name, owner) {
        const { id = '' } = madeOf(await api('POST /agents/nest/threads', {}));
        await t()
          .connection.db('chatThreads')
          .where({ id })
          .update({ ownerId: await ids(owner) });
        return {
          called: id,
          ask: {
            view: (token) => status(`GET /threads/${id}`, undefined, token),
            delete: (token) => status(`DELETE /threads/${id}`, undefined, token),
          },
        };
      },
    },
    {
      rights: resources.audit,
      async make(name, owner) {
        madeOf(await api('POST /tokens', { name }, t().tokens[owner]));
        return {
          called: null,
          ask: {
            view: async (token) => {
              const { text, status: code } = await api(`GET /audit?name=${name}`, undefined, token);
              return code !== 200 || text.includes(`"${name}"`) ? code : 404;
            },
          },
        };
      },
    },
    {
      rights: resources.metrics,
      make: async () => ({
        called: null,
        ask: { view: async (token) => (await t().call('GET /metrics', { token })).status },
      }),
      otherwise: { unseen: { view: 403 } },
    },
    {
      rights: resources.board,
      // It shows the names of all queues.
      besides: ['view:llm', 'view:pool'],
      make: async () => ({
        called: null,
        ask: {
          view: async (token) => {
            const cookie = await cookieFor(t().url, token);
            const headers = { cookie, ...ownPage };
            return (await t().call('GET /admin/queues/api/queues', { token: null, headers })).status;
          },
        },
      }),
      otherwise: { unseen: { view: 403 } },
    },
  ];
  return [...kinds, ...ofDefinitions];
}
