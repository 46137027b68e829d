import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { ChangesView } from '../../core/mcp/pinned/approvals.ts';
import type { Definition } from '../../core/resources/define.ts';
import { stored } from '../../core/resources/index.ts';
import { BackupWriter } from '../../core/runtime/backup/lines.ts';
import { operations } from '../../edge/openapi/document.ts';
import { edgeFixture, type Answer, type EdgeFixture } from '../support/edge.ts';

interface Event {
  verb: string;
  resource: string;
  name: string | null;
  actor: string | null;
  token: string | null;
  outcome: string;
}

/** What is called to have it done once, and what the one event says. */
interface Write {
  /** Before: what must be there. */
  first?: (t: Asking) => Promise<unknown>;
  call: (t: Asking) => Promise<Answer>;
  says: string;
}

interface Asking {
  /** As an admin, below `/api/v1`. */
  ask(call: string, body?: unknown): Promise<Answer>;
  asAda(call: string, body?: unknown): Promise<Answer>;
  /** Of what `first` made. */
  made: { id?: string; session?: string };
}

/** Writing routes that leave no event. */
const none: Readonly<Record<string, string>> = {
  'POST /agents/{name}/compose': 'writes nothing',
  'POST /llms/{name}/explain': 'writes nothing',
  'POST /access/review': 'writes nothing',
  'POST /agents/{name}/chat': 'own inference: tasks and turns tell of it',
  'POST /threads/{id}/turns': 'own inference',
  'DELETE /threads/{id}/turns/{n}': 'ends own inference',
  'POST /threads/{id}/turns/{n}/retry': 'own inference',
  'POST /threads/{id}/turns/{n}/tool-results': 'own inference',
  'POST /threads/{id}/turns/{n}/continue': 'own inference',
  'POST /access/who-can': 'writes nothing',
  'POST /llms/{name}/infer': 'own inference',
  'POST /tasks': 'own inference',
  'POST /tasks/{id}/retry': 'own inference',
  'POST /api/show': 'writes nothing',
  'POST /api/chat': 'own inference',
  'POST /api/generate': 'own inference',
  'POST /api/embed': 'own inference',
  'POST /api/embeddings': 'own inference',
  'POST /login/device': 'asked by nobody that is known; who approves is told of (test/edge/device-login)',
  'POST /login/device/token': 'likewise',
  'POST /join': 'likewise; the token that it makes is told of (test/edge/join-codes)',
  'POST /join-requests': 'approved or denied it is a device login (test/edge/join-codes)',
  'POST /leave': 'ends a token and sessions, which are told of (test/edge/join-codes)',
  'POST /llms/_provider-heartbeat': 'a sign of life',
  'POST /llms/_provider-tools': 'what a published server says that it can do: a sign of life',
  'POST /llms/_provider-said': 'what came of an order, which is told of itself',
  'POST /servers/{name}/restart': 'told of before its worker hears of it (test/mcp/process)',
  'POST /llms/_provider-resources': 'what a published server says of its resources: a sign of life',
  'POST /llms/_provider-task/{id}/deliver': 'others’ call: the task tells of it',
  'POST /llms/_provider-task/{id}/stream': 'others’ inference: the task tells of it',
  'POST /llms/_provider-task/{id}/result': 'others’ inference: the task tells of it',
};

const llm = { name: 'tiny-chat', type: 'openai', model: 'm', url: 'http://backend.test/v1' };
const publish = async (t: Asking): Promise<Answer> => {
  t.made.session ??= randomUUID();
  return t.ask('POST /llms/_provider-register', {
    ...{ providerSessionId: t.made.session, instanceId: t.made.session, transports: ['sse'] },
    providers: [{ name: 'published', type: 'openai', model: 'm' }],
  });
};
const post =
  (path: string, body: object) =>
  async (t: Asking): Promise<void> => {
    const { status, text, json } = await t.ask(`POST ${path}`, body);
    expect(status, text).to.be.lessThan(300);
    t.made.id = (json as { id?: string }).id ?? '';
  };
const agent = { name: 'critic', llm: 'tiny-chat' };

/** Whole, and without a document. */
function emptyBackup(): string {
  const writer = new BackupWriter();
  const about = {
    mcpctl: 'backup',
    format: 1,
    id: randomUUID(),
    installation: '',
    app: '1',
    schema: '',
  } as const;
  const header = writer.header({ ...about, at: '', scope: [], kids: [], secrets: 'none' });
  return `${header}\n${writer.trailer(null)}\n`;
}

/** An agent with a prompt and a personality. */
const personality = async (t: Asking): Promise<void> => {
  await post('/agents', agent)(t);
  await post('/prompts', { name: 'tone', agent: 'critic', content: 'Be brief.' })(t);
  await post('/agents/critic/personalities', { name: 'stern' })(t);
};
const stern = '/agents/critic/personalities/stern';
const ofPersonality = (call: string, says: string, body?: object): Write => ({
  first: personality,
  call: (t) => t.ask(call, body),
  says: `${says} personality stern`,
});

async function thread(t: Asking): Promise<void> {
  await post('/agents', agent)(t);
  await post('/agents/critic/threads', {})(t);
}

const ofOthers: Readonly<Record<string, Write>> = {
  'POST /llms': { call: (t) => t.ask('POST /llms', { ...llm, name: 'new' }), says: 'create llm new' },
  'PUT /llms/{name}': {
    call: (t) => t.ask('PUT /llms/tiny-chat', { ...llm, name: undefined, model: 'n' }),
    says: 'edit llm tiny-chat',
  },
  'PATCH /llms/{name}': {
    call: (t) => t.ask('PATCH /llms/tiny-chat', { model: 'n' }),
    says: 'edit llm tiny-chat',
  },
  'DELETE /llms/{name}': { call: (t) => t.ask('DELETE /llms/tiny-chat'), says: 'delete llm tiny-chat' },
  'POST /pools/{key}/allow': {
    call: (t) => t.ask('POST /pools/tiny-chat/allow', { user: 'ada' }),
    says: 'edit pool tiny-chat',
  },
  'POST /pools/{key}/deny': {
    first: post('/pools/tiny-chat/allow', { user: 'ada' }),
    call: (t) => t.ask('POST /pools/tiny-chat/deny', { user: 'ada' }),
    says: 'edit pool tiny-chat',
  },
  'POST /pools/{key}/owner': {
    call: (t) => t.ask('POST /pools/tiny-chat/owner', { user: 'ada' }),
    says: 'edit pool tiny-chat',
  },
  'POST /backup': { call: (t) => t.ask('POST /backup', {}), says: 'backup installation wrapped' },
  'POST /restore': {
    call: async (t) => t.ask('POST /restore', { backup: emptyBackup() }),
    says: 'restore installation fail',
  },
  'POST /apply': {
    call: (t) => t.ask('POST /apply', { documents: [{ resource: 'project', name: 'one' }] }),
    says: 'create project one',
  },
  'POST /apply/delete': {
    first: post('/projects', { name: 'one' }),
    call: (t) => t.ask('POST /apply/delete', { documents: [{ resource: 'project', name: 'one' }] }),
    says: 'delete project one',
  },
  'POST /agents/{name}/threads': {
    first: post('/agents', agent),
    call: (t) => t.ask('POST /agents/critic/threads', {}),
    says: 'create thread *',
  },
  'PATCH /threads/{id}': {
    first: thread,
    call: (t) => t.ask(`PATCH /threads/${t.made.id ?? ''}`, { title: 'Other' }),
    says: 'edit thread *',
  },
  'POST /threads/{id}/fork': {
    first: thread,
    call: (t) => t.ask(`POST /threads/${t.made.id ?? ''}/fork`, {}),
    says: 'create thread *',
  },
  'DELETE /threads/{id}': {
    first: async (t) => {
      await post('/agents', agent)(t);
      await post('/agents/critic/threads', {})(t);
    },
    call: (t) => t.ask(`DELETE /threads/${t.made.id ?? ''}`),
    says: 'delete thread *',
  },
  'POST /agents/{name}/personalities': {
    first: post('/agents', agent),
    call: (t) => t.ask('POST /agents/critic/personalities', { name: 'stern' }),
    says: 'create personality stern',
  },
  'PATCH /agents/{name}/personalities/{personality}': ofPersonality(`PATCH ${stern}`, 'edit', {
    priority: 7,
  }),
  'DELETE /agents/{name}/personalities/{personality}': ofPersonality(`DELETE ${stern}`, 'delete'),
  'PUT /agents/{name}/personalities/{personality}/prompts/{prompt}': ofPersonality(
    `PUT ${stern}/prompts/tone`,
    'edit',
    {},
  ),
  'DELETE /agents/{name}/personalities/{personality}/prompts/{prompt}': {
    ...ofPersonality(`DELETE ${stern}/prompts/tone`, 'edit'),
    first: async (t) => {
      await personality(t);
      await t.ask(`PUT ${stern}/prompts/tone`, {});
    },
  },
  'POST /secrets/{name}/reveal': {
    first: post('/secrets', { name: 'openai', data: { KEY: 'a-value' } }),
    call: (t) => t.ask('POST /secrets/openai/reveal', {}),
    says: 'reveal secret openai',
  },
  'POST /secrets/{name}/rollback': {
    first: async (t) => {
      await post('/secrets', { name: 'openai', data: { KEY: 'a-value' } })(t);
      await t.ask('PATCH /secrets/openai', { data: { KEY: 'another' } });
    },
    call: (t) => t.ask('POST /secrets/openai/rollback', {}),
    says: 'edit secret openai',
  },
  'PUT /groups/{name}/members/{user}': {
    first: post('/groups', { name: 'gpu' }),
    call: (t) => t.ask('PUT /groups/gpu/members/ada'),
    says: 'edit group gpu',
  },
  'DELETE /groups/{name}/members/{user}': {
    first: async (t) => {
      await post('/groups', { name: 'gpu' })(t);
      await t.ask('PUT /groups/gpu/members/ada');
    },
    call: (t) => t.ask('DELETE /groups/gpu/members/ada'),
    says: 'edit group gpu',
  },
  // One's own is one's own inference; this is ada's.
  'DELETE /tasks/{id}': {
    first: async (t) => {
      const request = { model: 'tiny-chat', messages: [{ role: 'user', content: 'hi' }] };
      t.made.id = ((await t.asAda('POST /tasks', { llm: 'tiny-chat', request })).json as { id: string }).id;
    },
    call: (t) => t.ask(`DELETE /tasks/${t.made.id ?? ''}`),
    says: 'delete task *',
  },
  'POST /servers/{name}/approve': {
    first: async (t) => {
      const session = { providerSessionId: randomUUID(), instanceId: randomUUID(), transports: ['sse'] };
      const providers = [{ name: 'mcp.files', type: 'mcp', model: 'mcp' }];
      await t.ask('POST /llms/_provider-register', { ...session, providers });
      const report = (description: string): Promise<Answer> =>
        t.ask('POST /llms/_provider-tools', {
          ...{ ...session, server: 'files', journal: session.instanceId, info: { name: 'f', version: '1' } },
          tools: [{ name: 'read', description, inputSchema: { type: 'object' } }],
        });
      await report('as it was');
      await t.ask('POST /projects', { name: 'support', servers: [{ server: 'files' }] });
      await report('another');
    },
    call: async (t) => {
      const { json } = await t.ask('GET /servers/files/changes');
      const [project] = (json as ChangesView).projects;
      const tools = project?.changes.map(({ name, hash }) => ({ name, hash }));
      return t.ask('POST /servers/files/approve', { tools });
    },
    says: 'edit project support',
  },
  'POST /join-codes': {
    call: (t) => t.ask('POST /join-codes', { pools: ['gpu'], name: 'desk' }),
    says: 'create join-code desk',
  },
  'DELETE /join-codes/{id}': {
    first: async (t) => {
      await t.ask('POST /join-codes', { pools: ['gpu'], name: 'desk' });
      const { json } = await t.ask('GET /join-codes');
      t.made.id = (json as { items: { id: string }[] }).items[0]?.id ?? '';
    },
    call: (t) => t.ask(`DELETE /join-codes/${t.made.id ?? ''}`),
    says: 'delete join-code desk',
  },
  'POST /tokens': { call: (t) => t.ask('POST /tokens', { name: 'ci' }), says: 'create token ci' },
  'DELETE /tokens/{id}': {
    first: post('/tokens', { name: 'ci' }),
    call: (t) => t.ask(`DELETE /tokens/${t.made.id ?? ''}`),
    says: 'delete token ci',
  },
  'POST /llms/_provider-register': { call: publish, says: 'create session *' },
  'POST /sessions/{id}/pause': {
    first: publish,
    call: (t) => t.ask(`POST /sessions/${t.made.session ?? ''}/pause`),
    says: 'edit session *',
  },
  'POST /sessions/{id}/drain': {
    first: publish,
    call: (t) => t.ask(`POST /sessions/${t.made.session ?? ''}/drain`),
    says: 'edit session *',
  },
  'POST /sessions/{id}/resume': {
    first: async (t) => {
      await publish(t);
      await t.ask(`POST /sessions/${t.made.session ?? ''}/pause`);
    },
    call: (t) => t.ask(`POST /sessions/${t.made.session ?? ''}/resume`),
    says: 'edit session *',
  },
  'DELETE /sessions/{id}': {
    first: publish,
    call: (t) => t.ask(`DELETE /sessions/${t.made.session ?? ''}`),
    says: 'delete session *',
  },
  'POST /llms/_provider-goodbye': {
    first: publish,
    call: (t) =>
      t.ask('POST /llms/_provider-goodbye', {
        providerSessionId: t.made.session,
        instanceId: t.made.session,
      }),
    says: 'delete session *',
  },
};

/** What differs from the example. */
function otherwise({ fields, word }: Definition): object {
  for (const [name, value] of [
    ['description', 'Another.'],
    ['content', 'Another.'],
    ['kind', 'service'],
  ] as const)
    if (fields[name]) return { [name]: value };
  throw new TypeError(`say what can be changed of ${word}`);
}

function ofDefinition(definition: Definition): Record<string, Write> {
  const { word, plural, key, example, fields } = definition;
  const body = { ...example, ...(fields['llm'] ? { llm: 'tiny-chat' } : {}) };
  const first = async (t: Asking): Promise<void> => {
    if (fields['agent']) await post('/agents', { ...agent, name: 'reviewer' })(t);
    if (fields['project']) await t.ask('POST /projects', { name: 'support' });
  };
  const made = async (t: Asking): Promise<void> => {
    await first(t);
    await post(`/${plural}`, body)(t);
  };
  const path = (t: Asking): string =>
    `/${plural}/${key === 'name' ? String(example['name']) : (t.made.id ?? '')}`;
  const { name: _name, ...rest } = body as Record<string, unknown>;
  const whole = key === 'name' ? rest : body;
  const name = String(example['name']);
  return {
    [`POST /${plural}`]: {
      first,
      call: (t) => t.ask(`POST /${plural}`, body),
      says: `create ${word} ${name}`,
    },
    [`PUT /${plural}/{${key}}`]: {
      first: made,
      call: (t) => t.ask(`PUT ${path(t)}`, { ...whole, ...otherwise(definition) }),
      says: `edit ${word} ${name}`,
    },
    [`PATCH /${plural}/{${key}}`]: {
      first: made,
      call: (t) => t.ask(`PATCH ${path(t)}`, otherwise(definition)),
      says: `edit ${word} ${name}`,
    },
    [`DELETE /${plural}/{${key}}`]: {
      first: made,
      call: (t) => t.ask(`DELETE ${path(t)}`),
      says: `delete ${word} ${name}`,
    },
  };
}

const writes: Readonly<Record<string, Write>> = {
  ...ofOthers,
  ...Object.fromEntries(stored.flatMap((definition) => Object.entries(ofDefinition(definition)))),
};

describe('the audit of writes', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  afterEach(async () => {
    await t.connection.db.raw(`
      delete from chat_threads; delete from agents; delete from prompts; delete from projects; delete from tasks;
      delete from names; delete from llms; delete from pool_allowed; delete from pools; delete from name_owners;
      delete from sessions; delete from secrets; delete from servers; delete from tokens where name = 'ci';
      delete from groups where owner_id is not null; delete from rbac where owner_id is not null;
      delete from users where name not in ('admin', 'root', 'ada', 'bob')`);
  });
  after(() => t.close());

  const writing = operations.map(({ call }) => call).filter((call) => !call.startsWith('GET '));

  it('knows every writing call of the OpenAPI document, and no other', () => {
    expect([...Object.keys(writes), ...Object.keys(none)].sort()).to.deep.equal([...writing].sort());
  });

  for (const [call, write] of Object.entries(writes))
    it(`has one event of ${call}`, async () => {
      const asking = askingOf(t);
      expect((await asking.ask('POST /llms', llm)).status).to.equal(201);
      await write.first?.(asking);
      const before = await eventsOf(t);
      const answer = await write.call(asking);
      expect(answer.status, answer.text).to.be.lessThan(300);
      const events = (await eventsOf(t)).slice(before.length);
      expect(events).to.have.length(1);
      const [event] = events;
      const [verb, resource, name] = write.says.split(' ');
      expect(event).to.deep.include({ verb, resource, actor: 'root', token: 'test', outcome: 'ok' });
      if (name !== '*') expect(event?.name).to.equal(name);
    });
});

const askingOf = (t: EdgeFixture): Asking => ({
  made: {},
  ask: (call, body) => asking(t, t.tokens.root, { call, body }),
  asAda: (call, body) => asking(t, t.tokens.ada, { call, body }),
});

function asking(
  t: EdgeFixture,
  token: string,
  { call, body }: { call: string; body: unknown },
): Promise<Answer> {
  const [method = '', path = ''] = call.split(' ');
  return t.call(`${method} /api/v1${path}`, { token, ...(body !== undefined && { body }) });
}

/** Oldest first. */
async function eventsOf(t: EdgeFixture): Promise<Event[]> {
  const page = await t.call('GET /api/v1/audit?order=asc&limit=500', { token: t.tokens.root });
  return (page.json as { items: Event[] }).items;
}
