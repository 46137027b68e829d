import { request } from 'node:http';
import { expect } from 'chai';
import type { TaskView } from '../../core/task/task.ts';
import { edgeFixture, type Answer, type EdgeFixture, publicLlm } from '../support/edge.ts';

const chat = { model: 'gpt', messages: [{ role: 'user', content: 'hi' }] };
const INFER = 'POST /api/v1/llms/gpt/infer';
const TASKS = 'POST /api/v1/tasks';
const doors = [
  { what: INFER, body: chat as object, openAi: false },
  { what: 'POST /v1/chat/completions', body: chat as object, openAi: true },
  { what: TASKS, body: { llm: 'gpt', request: chat } as object, openAi: false },
];

const bad: [string, string, string][] = [
  ['x-mcpctl-on-disconnect', 'stop', 'cancel, continue'],
  ['x-mcpctl-on-disconnect', 'Cancel', 'cancel, continue'],
  ['x-mcpctl-on-disconnect', '', 'cancel, continue'],
  ['x-mcpctl-on-disconnect', 'grace', 'cancel, continue'],
  ['x-mcpctl-on-disconnect', 'grace=', 'cancel, continue'],
  ['x-mcpctl-on-disconnect', 'grace=0', '1 to 86400'],
  ['x-mcpctl-on-disconnect', 'grace=-1', '1 to 86400'],
  ['x-mcpctl-on-disconnect', 'grace=1.5', '1 to 86400'],
  ['x-mcpctl-on-disconnect', 'grace=86401', '1 to 86400'],
  ['x-mcpctl-on-disconnect', 'grace=1e3', '1 to 86400'],
  ['x-mcpctl-on-disconnect', 'grace=60s', '1 to 86400'],
  ['x-mcpctl-on-disconnect', 'cancel, continue', 'cancel, continue'],
  ['x-mcpctl-retention', 'never', 'none or keep'],
  ['x-mcpctl-retention', 'None', 'none or keep'],
  ['x-mcpctl-retention', '0', 'none or keep'],
  ['idempotency-key', '', '1 to 255'],
  ['idempotency-key', 'k'.repeat(256), '1 to 255'],
  ['idempotency-key', 'caf\u00e9', 'printable ASCII'],
  ['idempotency-key', 'a\tb', 'printable ASCII'],
  ['prefer', 'wait', '0 to 600'],
  ['prefer', 'wait=', '0 to 600'],
  ['prefer', 'wait=soon', '0 to 600'],
  ['prefer', 'wait=-1', '0 to 600'],
  ['prefer', 'wait=1.5', '0 to 600'],
  ['prefer', 'wait=601', '0 to 600'],
  ['prefer', 'respond-async, wait=1000000', '0 to 600'],
];

describe('the headers of a call that makes a task', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await publicLlm(t, 'gpt');
  });
  after(() => t.close());

  const messageOf = (answer: Answer, openAi: boolean): string => {
    const body = answer.json as { code?: string; error: { code?: string; message?: string } };
    expect([answer.status, openAi ? body.error.code : body.code], answer.text).to.deep.equal([
      400,
      'invalid_request',
    ]);
    return openAi ? (body.error.message ?? '') : JSON.stringify(answer.json);
  };
  const tasks = async (): Promise<TaskView[]> =>
    ((await t.call('GET /api/v1/tasks?limit=100')).json as { items: TaskView[] }).items;

  for (const { what, body, openAi } of doors) {
    for (const [header, value, must] of bad) {
      it(`refuses ${header}: ${JSON.stringify(value.slice(0, 30))} at ${what}, naming it`, async () => {
        const answer = await t.call(what, { body, headers: { [header]: value } });
        expect(messageOf(answer, openAi)).to.include(header).and.to.include(must);
      });
    }

    it(`names every header that is wrong at ${what}`, async () => {
      const headers = { 'x-mcpctl-on-disconnect': 'x', 'x-mcpctl-retention': 'x', prefer: 'wait=x' };
      const message = messageOf(await t.call(what, { body, headers }), openAi);
      for (const header of Object.keys(headers)) expect(message).to.include(header);
    });

    it(`finds no member of another pool for a pin at ${what}`, async () => {
      const answer = await t.call(what, { body, headers: { 'x-mcpctl-pin': 'elsewhere' } });
      expect(answer.status).to.equal(404);
      expect(answer.text)
        .to.include(openAi ? 'model_not_found' : 'llm_not_found')
        .and.to.include('elsewhere');
    });
  }

  it('refuses a header that is there twice', async () => {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${t.tokens.ada}`,
        'content-type': 'application/json',
        'idempotency-key': ['one', 'two'],
      };
      const call = request(`${t.url}/api/v1/llms/gpt/infer`, { method: 'POST', headers }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      call.on('error', reject);
      call.end(JSON.stringify(chat));
    });
    expect(status).to.equal(400);
  });

  it('makes no task of a call with a wrong header', async () => {
    const before = await tasks();
    await t.call(INFER, { body: chat, headers: { prefer: 'respond-async', 'x-mcpctl-retention': 'x' } });
    expect(await tasks()).to.have.length(before.length);
  });

  it('takes no policy but continue for a task that nobody waits for', async () => {
    for (const [what, body, prefer] of [
      [TASKS, { llm: 'gpt', request: chat }, undefined],
      [INFER, chat, 'respond-async'],
    ] as const) {
      const headers = (policy: string) => ({
        'x-mcpctl-on-disconnect': policy,
        ...(prefer === undefined ? {} : { prefer }),
      });
      for (const policy of ['cancel', 'grace=5'])
        expect(messageOf(await t.call(what, { body, headers: headers(policy) }), false)).to.include('202');
      expect((await t.call(what, { body, headers: headers('continue') })).status).to.equal(202);
    }
  });

  it('says no at once where nobody is there, or waits as long as is preferred and then says the same', async () => {
    const atOnce = await t.call(INFER, { body: chat });
    expect([atOnce.status, atOnce.headers.get('x-mcpctl-task-id')]).to.deep.equal([503, null]);
    const began = performance.now();
    const waited = await t.call(INFER, { body: chat, headers: { prefer: 'wait=3' } });
    expect(performance.now() - began).to.be.within(3_000, 7_000);
    expect([waited.status, waited.json]).to.deep.equal([
      503,
      { ...(atOnce.json as object), requestId: waited.headers.get('x-request-id') },
    ]);
    expect(waited.text).to.include("No active Llm in pool 'gpt'");
    expect(waited.headers.get('preference-applied')).to.equal('wait=3');
    const made = (await tasks())[0];
    expect(made?.id).to.equal(waited.headers.get('x-mcpctl-task-id'));
    expect(made).to.include({ status: 'error' }).and.to.have.nested.property('error.code', 'no_active_llm');
  });

  it('answers 202 where async is preferred, after the wait that is preferred', async () => {
    for (const [prefer, applied, atLeastMs] of [
      ['respond-async', 'respond-async', 0],
      ['Respond-Async; foo=bar, WAIT="1"', 'respond-async, wait=1', 1_000],
      ['handling=lenient, wait=0, wait=9, respond-async', 'respond-async, wait=0', 0],
    ] as const) {
      const began = performance.now();
      const answer = await t.call(INFER, { body: chat, headers: { prefer } });
      expect(performance.now() - began).to.be.within(atLeastMs, atLeastMs + 5_000);
      expect([answer.status, answer.headers.get('preference-applied')]).to.deep.equal([202, applied]);
      const { id } = answer.json as TaskView;
      expect(answer.headers.get('x-mcpctl-task-id')).to.equal(id);
      expect(answer.headers.get('location')).to.equal(`/api/v1/tasks/${id}`);
    }
  });

  it('holds a new task as long as is preferred', async () => {
    const began = performance.now();
    const body = { llm: 'gpt', request: chat };
    const answer = await t.call(TASKS, { body, headers: { prefer: 'wait=1' } });
    expect(performance.now() - began).to.be.within(1_000, 5_000);
    expect([answer.status, answer.headers.get('preference-applied')]).to.deep.equal([202, 'wait=1']);
    expect((answer.json as TaskView).status).to.equal('pending');
  });
});

describe('POST /api/v1/tasks/:id/retry', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  let id: string;
  const messages = '"messages":[{"role":"user","content":"hi"}],"seed":9007199254740993';
  before(async () => {
    t = await edgeFixture();
    await publicLlm(t, 'gpt');
    const request = `{"stream":true,${messages},"stream_options":{"include_usage":true}}`;
    const raw = `{"llm":"gpt","request":${request},"priority":"interactive"}`;
    const headers = { 'content-type': 'application/json', 'x-mcpctl-pin': 'gpt' };
    ({ id } = (await t.call(TASKS, { raw, headers })).json as TaskView);
  });
  after(() => t.close());
  const retry = (token = t.tokens.ada, headers = {}): Promise<Answer> =>
    t.call(`POST /api/v1/tasks/${id}/retry`, { token, headers });
  const refused = async (token?: string): Promise<unknown[]> => {
    const { status, json } = await retry(token);
    return [status, (json as { code?: string }).code];
  };
  const tokenOf = async (by: string, body: object): Promise<string> =>
    ((await t.call('POST /api/v1/tokens', { token: by, body })).json as { token: string }).token;

  it('asks the same again in one piece, of the same member, to the letter, and once under a key', async () => {
    expect(await refused()).to.deep.equal([409, 'task_open']);
    await t.call(`DELETE /api/v1/tasks/${id}`);
    const key = { 'idempotency-key': 'again' };
    const [one, two] = [await retry(t.tokens.ada, key), await retry(t.tokens.ada, key)];
    const made = one.json as TaskView;
    expect([one.status, two.status, (two.json as TaskView).id]).to.deep.equal([202, 202, made.id]);
    expect([made.id === id, two.headers.get('idempotency-replayed')]).to.deep.equal([false, 'true']);
    const view = { llmName: 'gpt', status: 'pending', priority: 'interactive', streaming: false };
    expect(made).to.include({ ...view, source: 'async', owner: 'ada' });
    const bodyOf = { id: made.id };
    const row = await t.connection.db('tasks').where(bodyOf).first<{ requestBody: string; pin: string }>();
    expect(row.requestBody).to.equal(`{${messages}}`);
    const { json } = await t.call('GET /api/v1/llms/gpt');
    expect(row.pin).to.equal((json as { id: string }).id);
  });

  it('is for who may read what was asked, and run what it asks; it becomes theirs', async () => {
    const { ada, bob, root } = t.tokens;
    expect(await refused(bob)).to.deep.equal([404, 'task_not_found']);
    const noLogs = await tokenOf(root, { name: 'no-logs', preset: 'manage' });
    expect(await refused(noLogs)).to.deep.equal([403, 'forbidden']);
    expect((await retry(root)).json).to.include({ status: 'pending', owner: 'root' });
    const bindings = [{ role: 'run', resource: 'llm', name: 'other' }];
    expect(await refused(await tokenOf(ada, { name: 'other', bindings }))).to.deep.equal([
      404,
      'llm_not_found',
    ]);
  });

  it('asks an agent what its caller asked, and of what the agent is by now', async () => {
    const agent = { name: 'brief', llm: 'gpt', systemPrompt: 'Be brief.' };
    expect((await t.call('POST /api/v1/agents', { body: agent })).status).to.equal(201);
    const request = { messages: [{ role: 'user', content: 'hi' }] };
    const made = (await t.call(TASKS, { body: { llm: 'brief', request } })).json as TaskView;
    await t.call(`DELETE /api/v1/tasks/${made.id}`);
    await t.call('PATCH /api/v1/agents/brief', { body: { systemPrompt: 'Be long.' } });
    const again = (await t.call(`POST /api/v1/tasks/${made.id}/retry`)).json as TaskView;
    const { requestBody } = await t.registry.tasks.bodies(again.id);
    const system = { role: 'system', content: 'Be long.' };
    expect(JSON.parse(requestBody ?? '')).to.deep.equal({ messages: [system, ...request.messages] });
  });

  it('asks nothing that was not kept, calls no tool twice, and asks no other member than that one', async () => {
    const become = (now: object) => t.connection.db('tasks').where({ id }).update(now);
    await become({ pin: '01900000-0000-7000-8000-000000000001' });
    expect((await retry()).text)
      .to.include('no longer there')
      .and.to.include('llm_not_found');
    await become({ operation: 'mcp' });
    expect((await retry()).text)
      .to.include('called a tool')
      .and.to.include('invalid_request');
    await become({ operation: 'chat', requestBody: null, pin: null });
    expect((await retry()).text)
      .to.include('was not kept')
      .and.to.include('"gone"');
  });
});
