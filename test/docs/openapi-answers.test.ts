import { expect } from 'chai';
import { z } from 'zod';
import { apiErrorSchema } from '../../core/api-error.ts';
import { entryOf, type ErrorCode } from '../../core/errors.ts';
import { createRegistry } from '../../core/registry/registry.ts';
import { stored } from '../../core/resources/index.ts';
import { readTemplates } from '../../core/runtime/files/template-files.ts';
import { operations } from '../../edge/openapi/document.ts';
import { cookieFor } from '../support/admin.ts';
import { edgeFixture, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';

const chat = { messages: [{ role: 'user', content: 'hi' }] };
const some = { type: 'openai', model: 'm', url: 'http://backend.test/v1' };
const gpt = { name: 'gpt', ...some };

describe('what the OpenAPI document says of answers', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  const seen = new Set<string>();
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());

  /** Asks, and compares with what the document says of the call: status, schema, no field besides; or the code. */
  const fits = async (call: string, path: string, options: Call = {}): Promise<Answer> => {
    const [method = ''] = call.split(' ');
    const operation = operations.find((each) => each.call === call) ?? expect.fail(`${call} is not told`);
    const answer = await t.call(`${method} /api/v1${path}`, { token: t.tokens.root, ...options });
    const described = [operation, ...(operation.also ?? [])].filter(({ status }) => status === answer.status);
    if (answer.status >= 400) {
      const { code } = apiErrorSchema.parse(answer.json);
      const every = [
        'unauthenticated',
        'forbidden',
        ...(operation.body ? ['invalid_json', 'unsupported_media_type'] : []),
      ];
      expect([...operation.errors, ...every], `${call}: ${answer.text}`).to.include(code);
      expect(entryOf(code as ErrorCode).status).to.equal(answer.status);
      return answer;
    }
    expect(described, `${call} answers ${String(answer.status)}: ${answer.text}`).not.to.deep.equal([]);
    const schema = described[0]?.answer;
    if (schema) expect(schema.parse(answer.json), call).to.deep.equal(answer.json);
    else expect(answer.text, call).to.equal('');
    seen.add(call);
    return answer;
  };
  const idOf = (answer: Answer): string => z.looseObject({ id: z.string() }).parse(answer.json).id;

  /** @param agent the path of one. */
  const threadsFit = async (agent: string): Promise<void> => {
    const options = { body: { message: 'hi' }, headers: { prefer: 'respond-async' } };
    const made = await fits('POST /agents/{name}/chat', `${agent}/chat`, options);
    const { threadId } = made.json as { threadId: string };
    await fits('DELETE /threads/{id}/turns/{n}', `/threads/${threadId}/turns/1`);
    await fits('POST /threads/{id}/turns', `/threads/${threadId}/turns`, options);
    await fits('GET /threads/{id}/turns/{n}', `/threads/${threadId}/turns/2`);
    await fits('GET /threads/{id}', `/threads/${threadId}`);
    await fits('GET /threads/{id}/messages', `/threads/${threadId}/messages`);
    await fits('POST /agents/{name}/threads', `${agent}/threads`, { body: { title: 'Mine' } });
    await fits('GET /agents/{name}/threads', `${agent}/threads`);
    await fits('GET /threads', '/threads?limit=1');
    await fits('PATCH /threads/{id}', `/threads/${threadId}`, { body: { title: 'Ours', pinned: true } });
    await fits('DELETE /threads/{id}/turns/{n}', `/threads/${threadId}/turns/2?drop=true`);
    await fits('GET /threads/{id}/export', `/threads/${threadId}/export`);
    await fits('POST /threads/{id}/turns/{n}/retry', `/threads/${threadId}/turns/2/retry`, {
      headers: options.headers,
    });
    await fits('POST /threads/{id}/turns/{n}/tool-results', `/threads/${threadId}/turns/3/tool-results`, {
      body: [],
    });
    await fits('POST /threads/{id}/turns/{n}/continue', `/threads/${threadId}/turns/3/continue`);
    await fits('POST /threads/{id}/fork', `/threads/${threadId}/fork`, { body: { atTurn: 2 } });
    await fits('DELETE /threads/{id}', `/threads/${threadId}`);
  };

  /** Of the agent `reviewer`. */
  const workersFit = async (body: object): Promise<void> => {
    const { json } = await fits('POST /llms/_provider-register', '/llms/_provider-register', { body });
    const at = `/sessions/${(json as { providerSessionId: string }).providerSessionId}`;
    await fits('GET /sessions', '/sessions');
    await fits('GET /sessions/{id}', at);
    await fits('GET /sessions/{id}/usage', `${at}/usage`);
    for (const call of ['pause', 'drain', 'resume'])
      await fits(`POST /sessions/{id}/${call}`, `${at}/${call}`);
    await fits('DELETE /sessions/{id}', at);
  };
  /** A worker from its code to its end, and one that waits. */
  const joiningFits = async (): Promise<void> => {
    await fits('POST /join-codes', '/join-codes', { body: { pools: ['gpu'] } });
    const codes = await fits('GET /join-codes', '/join-codes');
    const [withdrawn] = (codes.json as { items: { id: string }[] }).items;
    await fits('DELETE /join-codes/{id}', `/join-codes/${withdrawn?.id ?? ''}`);
    const invited = await fits('POST /join-codes', '/join-codes', { body: { pools: ['gpu'] } });
    const { code } = invited.json as { code: string };
    const joined = await fits('POST /join', '/join', { token: null, body: { code, machine: 'desk' } });
    await fits('POST /leave', '/leave', { token: (joined.json as { token: string }).token });
    const body = { machine: 'desk', pools: ['gpu'] };
    const begun = await fits('POST /login/device', '/login/device', { token: null, body });
    const waiting = { body: { code: (begun.json as { userCode: string }).userCode } };
    await fits('POST /join-requests', '/join-requests', waiting);
  };
  const personalitiesFit = async (): Promise<void> => {
    const all = '/agents/reviewer/personalities';
    await fits('POST /prompts', '/prompts', {
      body: { name: 'short', agent: 'reviewer', content: 'Be brief.' },
    });
    await fits('POST /agents/{name}/personalities', all, { body: { name: 'terse' } });
    await fits('GET /agents/{name}/personalities', all);
    const [one, route] = [`${all}/terse`, '/agents/{name}/personalities/{personality}'];
    await fits(`GET ${route}`, one);
    await fits(`PATCH ${route}`, one, { body: { description: 'Few words' } });
    const binding = { body: { priority: 900 } };
    await fits(`PUT ${route}/prompts/{prompt}`, `${one}/prompts/short`, binding);
    await fits(`DELETE ${route}/prompts/{prompt}`, `${one}/prompts/short`);
    await fits(`DELETE ${route}`, one);
  };

  it('fits what is answered', async () => {
    await fits('POST /llms', '/llms', { body: gpt });
    await fits('PUT /llms/{name}', '/llms/gpt', { body: { ...some, description: 'x' } });
    await fits('PUT /llms/{name}', '/llms/other', { body: some });
    await fits('PATCH /llms/{name}', '/llms/gpt', { body: { tier: 'fast' } });
    await fits('GET /llms', '/llms?limit=1');
    await fits('GET /llms/{name}', '/llms/gpt');
    await fits('GET /llms/{name}/members', '/llms/gpt/members');
    await fits('DELETE /llms/{name}', '/llms/other');
    await fits('GET /llms/{name}/explain', '/llms/gpt/explain');
    await fits('POST /llms/{name}/explain', '/llms/gpt/explain', { body: { request: chat } });
    await fits('GET /pools', '/pools');
    await fits('GET /pools/{key}', '/pools/gpt');
    await fits('POST /pools/{key}/allow', '/pools/gpt/allow', { body: { user: 'bob' } });
    await fits('POST /pools/{key}/deny', '/pools/gpt/deny', { body: { user: 'bob' } });
    await fits('POST /pools/{key}/owner', '/pools/gpt/owner', { body: { user: 'bob' } });
    const task = idOf(await fits('POST /tasks', '/tasks', { body: { llm: 'gpt', request: chat } }));
    await fits('GET /tasks', '/tasks');
    await fits('GET /tasks/counts', '/tasks/counts');
    await fits('GET /tasks/{id}', `/tasks/${task}`);
    await fits('GET /tasks/{id}/explain', `/tasks/${task}/explain`);
    await fits('DELETE /tasks/{id}', `/tasks/${task}`);
    await fits('POST /tasks/{id}/retry', `/tasks/${task}/retry`);
    const later = { prefer: 'respond-async' };
    await fits('POST /llms/{name}/infer', '/llms/gpt/infer', { body: chat, headers: later });
    await fits('GET /overview', '/overview');
    await fits('GET /usage', '/usage');
    await fits('GET /whoami', '/whoami');
    await fits('GET /system', '/system');
    await fits('GET /audit', '/audit');
    await fits('POST /access/review', '/access/review', { body: { verb: 'run', resource: 'llm' } });
    await fits('POST /access/who-can', '/access/who-can', { body: { verb: 'run', resource: 'llm' } });
    const token = idOf(await fits('POST /tokens', '/tokens', { body: { name: 'x', pools: ['gpt'] } }));
    await fits('GET /tokens', '/tokens');
    await fits('DELETE /tokens/{id}', `/tokens/${token}`);
    await fits('GET /resources', '/resources');
    await createRegistry(t.connection).templates.seed(readTemplates().files);
    await fits('GET /templates', '/templates');
    await fits('GET /templates/{name}', '/templates/filesystem');
    const documents = [{ resource: 'project', name: 'applied' }];
    await fits('POST /apply', '/apply', { body: { documents, dryRun: true } });
    await fits('POST /apply/delete', '/apply/delete', { body: { documents, ignoreNotFound: true } });
    const backup = (await t.call('POST /api/v1/backup', { token: t.tokens.root, body: {} })).text;
    await fits('POST /restore', '/restore', { body: { backup, dryRun: true } });
    const reviewer = { name: 'reviewer', llm: 'gpt' };
    for (const { plural, key, example } of stored) {
      if (plural === 'personalities') {
        await fits('POST /agents', '/agents', { body: reviewer });
        await personalitiesFit();
      }
      if ('llm' in example) await fits('POST /llms', '/llms', { body: { ...gpt, name: example['llm'] } });
      const made = await fits(`POST /${plural}`, `/${plural}`, { body: example });
      const at = `/${plural}/${key === 'name' ? String(example['name']) : idOf(made)}`;
      const { name, ...rest } = example;
      await fits(`GET /${plural}`, `/${plural}`);
      await fits(`GET /${plural}/{${key}}`, at);
      await fits(`PUT /${plural}/{${key}}`, at, { body: key === 'name' ? rest : { name, ...rest } });
      await fits(`PATCH /${plural}/{${key}}`, at, { body: {} });
      if (plural === 'agents') {
        await fits('POST /agents/{name}/compose', `${at}/compose`, { body: chat });
        await threadsFit(at);
      }
      if (plural === 'groups') {
        await fits('PUT /groups/{name}/members/{user}', `${at}/members/bob`);
        await fits('DELETE /groups/{name}/members/{user}', `${at}/members/bob`);
      }
      if (plural === 'secrets') {
        await fits('PATCH /secrets/{name}', at, { body: { data: { OPENAI_KEY: 'another' } } });
        await fits('GET /secrets/{name}/versions', `${at}/versions`);
        await fits('POST /secrets/{name}/rollback', `${at}/rollback`, { body: {} });
        await fits('POST /secrets/{name}/reveal', `${at}/reveal`, { body: {} });
        await fits('GET /keyring', '/keyring');
      }
      await fits(`DELETE /${plural}/{${key}}`, at);
    }
    const providers = [t.offer('desk'), { ...t.offer('mcp.box'), type: 'mcp', model: 'mcp' }];
    const offer = { protocol: 1, transports: ['redis', 'sse'], providers };
    const made = await fits('POST /llms/_provider-register', '/llms/_provider-register', { body: offer });
    const { providerSessionId } = made.json as { providerSessionId: string };
    const session = { body: { providerSessionId } };
    await fits('POST /llms/_provider-heartbeat', '/llms/_provider-heartbeat', session);
    const box = { server: 'box', journal: providerSessionId, info: { name: 'box', version: '1' } };
    const tools = [{ name: 'open', inputSchema: { type: 'object' } }];
    const report = { body: { providerSessionId, ...box, tools } };
    await fits('POST /llms/_provider-tools', '/llms/_provider-tools', report);
    const news = { body: { providerSessionId, server: 'box', updated: ['file:///x'] } };
    await fits('POST /llms/_provider-resources', '/llms/_provider-resources', news);
    const answered = { server: 'box', orderId: providerSessionId, says: { state: 'ready', reason: null } };
    await fits('POST /llms/_provider-said', '/llms/_provider-said', {
      body: { providerSessionId, ...answered },
    });
    const boxed = { body: { name: 'boxed', servers: [{ server: 'box', pin: 'enforce' }] } };
    await fits('POST /projects', '/projects', boxed);
    await fits('GET /projects/{name}/watchers', '/projects/boxed/watchers');
    await fits('GET /servers/{name}/changes', '/servers/box/changes');
    await fits('POST /servers/{name}/approve', '/servers/box/approve', { body: { tools: [] } });
    await fits('POST /llms/_provider-goodbye', '/llms/_provider-goodbye', session);
    await workersFit(offer);
    await fits('POST /login/device', '/login/device', { body: { machine: 'm' } });
    await joiningFits();
    // Those that are left are streams, or speak for a claim: test/relay, test/backup and test/edge/task-stream.test.ts.
    const ours = operations.filter(({ servedAt }) => servedAt === undefined); // Ollama's: test/contract/ollama.ts
    const rest = ours.map(({ call }) => call).filter((call) => !seen.has(call));
    expect(rest).to.have.members([
      'POST /login/device/token', // test/edge/device-login.test.ts
      'GET /events',
      'GET /projects/{name}/traffic', // test/mcp/traffic/watch.test.ts
      'GET /servers/{name}/logs', // test/mcp/process.test.ts
      'POST /servers/{name}/restart', // likewise
      'POST /backup',
      'GET /tasks/{id}/stream',
      'GET /threads/{id}/stream', // test/edge/turn-stream.test.ts
      'POST /threads/{id}/turns/{n}/continue', // test/edge/turn-continue.test.ts
      'GET /llms/_provider-stream',
      'POST /llms/_provider-task/{id}/stream',
      'GET /llms/_provider-task/{id}/body',
      'POST /llms/_provider-task/{id}/deliver',
      'POST /llms/_provider-task/{id}/result',
    ]);
  });

  it('names the code of each refusal', async () => {
    const nobody = '00000000-0000-4000-8000-000000000000';
    await fits('POST /llms', '/llms', { body: gpt });
    await fits('POST /llms', '/llms', { body: { nonsense: 1 } });
    await fits('POST /llms', '/llms', { raw: '{' });
    await fits('GET /llms', '/llms?after=%00&limit=x');
    await fits('GET /llms/{name}', '/llms/nobody', { token: null });
    await fits('PATCH /llms/{name}', '/llms/gpt', {
      body: { tier: 'fast' },
      headers: { 'if-match': '"99"' },
    });
    await fits('GET /pools/{key}', '/pools/nobody');
    await fits('POST /pools/{key}/allow', '/pools/gpt/allow', { body: { user: 'stranger' } });
    await fits('POST /llms/{name}/infer', '/llms/gpt/infer', { body: chat });
    await fits('POST /llms/{name}/infer', '/llms/nobody/infer', { body: chat });
    await fits('POST /llms/{name}/infer', '/llms/gpt/infer', {
      raw: 'x',
      headers: { 'content-type': 'text/plain' },
    });
    const named = { 'idempotency-key': 'k' };
    await fits('POST /tasks', '/tasks', { body: { llm: 'gpt', request: chat }, headers: named });
    await fits('POST /tasks', '/tasks', { body: { llm: 'gpt', request: { ...chat, n: 1 } }, headers: named });
    await fits('GET /tasks/{id}', '/tasks/7');
    await fits('GET /tasks/{id}', `/tasks/${nobody}?wait=x`);
    await fits('DELETE /tasks/{id}', `/tasks/${nobody}`);
    await fits('GET /tasks/{id}/stream', `/tasks/${nobody}/stream?after=x`);
    await fits('DELETE /tokens/{id}', `/tokens/${nobody}`);
    await fits('GET /llms/_provider-stream', '/llms/_provider-stream');
    const result = { body: { ok: true } };
    await fits('GET /llms/_provider-task/{id}/body', `/llms/_provider-task/${nobody}/body`);
    await fits('POST /llms/_provider-task/{id}/result', `/llms/_provider-task/${nobody}/result`, result);
    await fits('POST /llms/_provider-task/{id}/stream', `/llms/_provider-task/${nobody}/stream`, {
      raw: '{}',
    });
  });

  it('is a page of this edge too, for who has signed in', async () => {
    const page = async (headers: Record<string, string>): Promise<Answer> =>
      await t.call('GET /admin/api', { token: null, headers });
    expect((await page({})).status).to.equal(401);
    const { text } = await page({ cookie: await cookieFor(t.url, t.tokens.ada) });
    for (const { call } of operations) expect(text).to.include(`<code>${call}</code>`);
    expect(text).not.to.match(/<script|https?:\/\/(?!backend\.test|json-schema)/);
  });
});
