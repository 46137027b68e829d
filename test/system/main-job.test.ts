import { expect } from 'chai';
import { chats, hangs, startBackend, type Backend } from '../support/backend.ts';
import { onEachTransport } from '../support/each-transport.ts';
import { nextText, sseData } from '../support/sse.ts';
import { startSystem, until, type System, type WorkerProcess } from '../support/system.ts';

const ask = (more: object = {}) => ({ messages: [{ role: 'user', content: 'hi' }], ...more });

onEachTransport('the main job: publish, call, leave', function (transport) {
  this.timeout(60_000);
  let t: System;
  let worker: WorkerProcess;
  let backend: Backend;

  before(async () => {
    t = await startSystem({}, { transport });
    backend = t.backend;
    worker = await t.startWorker([{ name: 'desk', poolName: 'house', backend }]);
  });
  after(() => t.close());

  it('shows the published row as virtual and active, in its pool', async () => {
    const llm = await t.llm('desk');
    expect(llm).to.include({ kind: 'virtual', status: 'active', model: 'tiny', url: null });
    expect(llm.pool).to.deep.equal({ key: 'house', size: 1, activeCount: 1 });
    const members = await (await t.call('GET', '/api/v1/llms/desk/members')).json();
    expect(members).to.have.nested.property('members[0].slots', 4);
  });

  it('serves callers from the moment that the registration was answered', async () => {
    const fresh = t.startWorker([{ name: 'fresh', backend }]);
    await t.edge.event('session.registered', (line) => JSON.stringify(line).includes('fresh'));
    expect((await t.call('POST', '/api/v1/llms/fresh/infer', { body: ask() })).status).to.equal(200);
    await (await fresh).kill('SIGTERM');
    await backend.next('request');
  });

  it('answers with the body of the backend, its finish_reason, and the model as it was asked for', async () => {
    backend.reply(chats(['Hello', ' there']));
    const answer = await t.call('POST', '/api/v1/llms/desk/infer', { body: ask({ model: 'whatever' }) });
    expect(answer.status).to.equal(200);
    const body = (await answer.json()) as Record<string, unknown>;
    expect(body).to.have.nested.property('choices[0].message.content', 'Hello there');
    expect(body).to.have.nested.property('choices[0].finish_reason', 'stop');
    expect(body['model']).to.equal('whatever');
    const request = await backend.next('request');
    expect(request.json?.['model']).to.equal('tiny');
    const task = await t.task(answer.headers.get('x-mcpctl-task-id') ?? '');
    expect(task).to.include({
      status: 'completed',
      claimedLlm: 'desk',
      finishReason: 'stop',
      poolName: 'house',
    });
    expect(task.usage?.totalTokens).to.be.greaterThan(0);
  });

  it('passes each token on before the backend has sent the next', async () => {
    backend.reply(chats(['one', 'two', 'three'], { paced: true }));
    const calling = t.call('POST', '/api/v1/llms/house/infer', { body: ask({ stream: true }) });
    backend.release();
    const answer = await calling; // a status is committed with the first event
    const events = sseData(answer);
    for (const word of ['one', 'two', 'three']) {
      if (word !== 'one') backend.release();
      expect(await nextText(events)).to.equal(word);
    }
    backend.release(Infinity);
    expect(await nextText(events)).to.equal(undefined);
    const task = await t.task(answer.headers.get('x-mcpctl-task-id') ?? '');
    expect(task.status).to.equal('completed');
  });

  it('settles the row before the last frame is written', async () => {
    backend.reply(chats(['a', 'b']));
    for (let n = 0; n < 20; n++) {
      const answer = await t.call('POST', '/api/v1/llms/desk/infer', { body: ask({ stream: true }) });
      for await (const data of sseData(answer)) if (data === '[DONE]') break;
      const row = await t.registry.tasks.byId(answer.headers.get('x-mcpctl-task-id') ?? '');
      expect(row?.status).to.equal('completed');
    }
  });

  it('sends the caller’s body to the backend as the text it was', async () => {
    backend.reply(chats(['ok']));
    const body =
      '{"big": 12345678901234567890, "x": 1.0, "model":"desk", "messages" : [{"role":"user","content":"é\\u00e9"}], "own_field": {"a":[1e2]}}';
    await t.call('POST', '/api/v1/llms/desk/infer', { body });
    let request = await backend.next('request');
    while (!request.body.includes('own_field')) request = await backend.next('request');
    expect(request.body).to.equal(body.replace('"desk"', '"tiny"'));
  });

  it('shows usage only to a caller who asked, and records it always', async () => {
    backend.reply(chats(['x']));
    const usages = async (options: object): Promise<number> => {
      const answer = await t.call('POST', '/api/v1/llms/desk/infer', {
        body: ask({ stream: true, ...options }),
      });
      let seen = 0;
      for await (const data of sseData(answer))
        if (data !== '[DONE]' && (JSON.parse(data) as { usage?: unknown }).usage) seen += 1;
      const task = await t.task(answer.headers.get('x-mcpctl-task-id') ?? '');
      expect(task.usage).to.not.equal(null);
      return seen;
    };
    expect(await usages({})).to.equal(0);
    expect(await usages({ stream_options: { include_usage: true } })).to.equal(1);
  });

  it('answers 202 to a caller who will come back, and keeps the answer', async () => {
    backend.reply(chats(['later']));
    const headers = { prefer: 'respond-async' };
    const answer = await t.call('POST', '/api/v1/llms/desk/infer', { body: ask(), headers });
    expect(answer.status).to.equal(202);
    const done = await t.call('GET', `${answer.headers.get('location') ?? ''}?wait=20`);
    const task = (await done.json()) as { status: string; response: unknown };
    expect(task.status).to.equal('completed');
    expect(task.response).to.have.nested.property('choices[0].message.content', 'later');
  });

  it('is inactive and 503 at once when the worker has said goodbye, and active again when it is back', async () => {
    expect(await worker.kill('SIGTERM')).to.equal(0);
    expect(await t.llm('desk')).to.include({ status: 'inactive', inactiveReason: 'publisher_gone' });
    const refused = await t.call('POST', '/api/v1/llms/desk/infer', { body: ask() });
    expect(refused.status).to.equal(503);
    expect(await refused.json()).to.include({
      code: 'no_active_llm',
      error: "No active Llm in pool 'house'",
    });
    const before = await t.llm('desk');
    worker = await t.startWorker([{ name: 'desk', poolName: 'house', backend }], { home: worker.home });
    const after = await until(
      () => t.llm('desk'),
      (llm) => llm.status === 'active',
    );
    expect(after.id).to.equal(before.id);
    backend.reply(chats(['again']));
    const answer = await t.call('POST', '/api/v1/llms/desk/infer', { body: ask() });
    expect(answer.status).to.equal(200);
  });

  it('gives a 503 within seconds to callers who wait when the only worker leaves', async () => {
    const own = await startBackend();
    own.reply(hangs());
    const lonely = await t.startWorker([{ name: 'lonely', maxConcurrency: 1, backend: own }]);
    const gone = new AbortController();
    const busy = t.call('POST', '/api/v1/llms/lonely/infer', { body: ask(), signal: gone.signal });
    await own.next('request');
    const waiting = t.call('POST', '/api/v1/llms/lonely/infer', { body: ask() });
    await until(
      () => t.openTasks(),
      (open) => open === 2,
    );
    await lonely.kill('SIGKILL');
    expect((await waiting).status).to.equal(503);
    gone.abort();
    await busy.catch(() => undefined); // its caller has left
    await until(
      () => t.openTasks(),
      (open) => open === 0,
      30_000,
    );
    await own.close();
  });
});
