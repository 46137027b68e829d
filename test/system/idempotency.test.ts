import { expect } from 'chai';
import type { TaskView } from '../../core/task/task.ts';
import { openAttachments, type Attachments } from '../support/attachments.ts';
import { answers, chats, hangs, type Backend } from '../support/backend.ts';
import { nextText, sseData } from '../support/sse.ts';
import { startSystem, until, type CallOptions, type EdgeProcess, type System } from '../support/system.ts';

const INFER = '/api/v1/llms/desk/infer';
const V1 = '/v1/chat/completions';
const TASKS = '/api/v1/tasks';

describe('Idempotency-Key', function () {
  this.timeout(60_000);
  let t: System;
  let backend: Backend;
  let edges: [EdgeProcess, EdgeProcess];
  let attachments: Attachments;
  let keys = 0;

  before(async () => {
    t = await startSystem();
    backend = t.backend;
    attachments = openAttachments(t.sandbox);
    edges = [t.edge, await t.startEdge()];
    await t.startWorker([{ name: 'desk', poolName: 'desks', maxConcurrency: 8, backend }]);
  });
  after(async () => {
    attachments.close();
    await t.close();
  });
  afterEach(async () => {
    backend.reply(chats(['Hello', ' there']));
    expect(await t.openTasks()).to.equal(0);
  });

  const newKey = (): string => `key-${String((keys += 1))}`;
  const bodyOf = (marker: string, stream = false) => ({
    model: 'desk',
    stream,
    messages: [{ role: 'user', content: marker }],
  });
  const timesAsked = (marker: string): number =>
    backend.requests.filter((request) => request.body.includes(marker)).length;
  const idOf = (answer: Response): string => answer.headers.get('x-mcpctl-task-id') ?? '';
  const isReplay = (answer: Response): boolean => answer.headers.get('idempotency-replayed') === 'true';
  const send = (
    key: string,
    body: object,
    { at, path = INFER, ...more }: CallOptions & { path?: string } = {},
  ) =>
    t.call('POST', path, {
      body,
      ...more,
      headers: { 'idempotency-key': key, ...more.headers },
      ...(at ? { at } : {}),
    });
  const textsOf = async (answer: Response): Promise<string[]> => {
    const events = sseData(answer);
    const texts: string[] = [];
    for (let text = await nextText(events); text !== undefined; text = await nextText(events))
      texts.push(text);
    return texts;
  };
  const ends = (id: string, status: string): Promise<TaskView> =>
    until(
      () => t.task(id),
      (task) => task.status === status,
    );

  for (const stream of [false, true]) {
    it(`makes one task of 50 equal calls at once at two edges, ${stream ? 'streamed' : 'whole'}`, async () => {
      const [key, marker] = [newKey(), `fifty-${String(stream)}-`];
      backend.once(chats(['one', 'two', 'three'], { paced: true }));
      const calls = Array.from({ length: 50 }, (_, n) =>
        send(key, bodyOf(marker, stream), { at: edges[n % 2] ?? t.edge }),
      );
      backend.release(stream ? 3 : 1);
      const all = await Promise.all(calls);
      expect(new Set(all.map(idOf)).size).to.equal(1);
      expect(all.filter((answer) => !isReplay(answer))).to.have.length(1);
      const texts = await Promise.all(
        all.map(async (answer) => {
          expect(answer.status).to.equal(200);
          if (stream) return (await textsOf(answer)).join('|');
          const { choices } = (await answer.json()) as { choices: { message: { content: string } }[] };
          return choices[0]?.message.content;
        }),
      );
      expect(new Set(texts)).to.deep.equal(new Set([stream ? 'one|two|three' : 'onetwothree']));
      expect(timesAsked(marker)).to.equal(1);
      const { items } = (await (await t.call('GET', '/api/v1/tasks?limit=50')).json()) as {
        items: TaskView[];
      };
      expect(items.filter(({ id }) => id === idOf(all[0] ?? new Response()))).to.have.length(1);
    });
  }

  it('shows a further caller at another edge the stream from its beginning', async () => {
    const [key, body] = [newKey(), bodyOf('from the beginning', true)];
    backend.once(chats(['one', 'two'], { paced: true }));
    const first = send(key, body, { at: edges[0] });
    backend.release();
    const events = sseData(await first);
    expect(await nextText(events)).to.equal('one');
    const further = await send(key, body, { at: edges[1] });
    expect(isReplay(further)).to.equal(true);
    const furtherEvents = sseData(further);
    expect(await nextText(furtherEvents)).to.equal('one');
    backend.release();
    for (const stream of [events, furtherEvents]) {
      expect(await nextText(stream)).to.equal('two');
      expect(await nextText(stream)).to.equal(undefined);
    }
  });

  it('lets the task go on while one of its callers is there, and acts when the last one leaves', async () => {
    const [key, body] = [newKey(), bodyOf('the last one', true)];
    const headers = { 'x-mcpctl-on-disconnect': 'cancel' };
    backend.once(chats(['one', 'two', 'three'], { paced: true }));
    const [a, b] = [new AbortController(), new AbortController()];
    const first = send(key, body, { at: edges[0], headers, signal: a.signal });
    backend.release();
    const answer = await first;
    expect(await nextText(sseData(answer))).to.equal('one');
    const other = sseData(await send(key, body, { at: edges[1], signal: b.signal }));
    expect(await nextText(other)).to.equal('one');
    a.abort();
    backend.release();
    expect(await nextText(other)).to.equal('two');
    b.abort();
    await backend.next('closed');
    expect(await ends(idOf(answer), 'cancelled')).to.have.nested.property('error.code', 'task_cancelled');
  });

  it('tells every caller when somebody else cancels', async () => {
    const [key, body] = [newKey(), bodyOf('cancelled for all')];
    backend.once(hangs());
    const callers = [
      send(key, body, { at: edges[0] }),
      send(key, body, { at: edges[1] }),
      send(key, body, { at: edges[1], path: V1 }),
    ];
    const id = await until(
      async () => ((await (await t.call('GET', TASKS)).json()) as { items: TaskView[] }).items[0],
      (task) => task?.status === 'claimed',
    ).then((task) => task?.id ?? '');
    await until(
      () => attachments.count('desks', id),
      (count) => count === 3,
    );
    await t.call('DELETE', `/api/v1/tasks/${id}`);
    const [a, b, c] = await Promise.all(callers);
    expect([a?.status, b?.status, c?.status]).to.deep.equal([409, 409, 503]);
    expect(c?.headers.get('x-should-retry')).to.equal('false');
    for (const answer of [a, b, c]) expect(answer && idOf(answer)).to.equal(id);
  });

  it('answers from what is kept when the task has ended, through whichever door', async () => {
    const key = newKey();
    const made = await send(key, bodyOf('kept'));
    const body = (await made.json()) as object;
    for (const at of edges) {
      const again = await send(key, bodyOf('kept'), { at });
      expect([again.status, isReplay(again), idOf(again)]).to.deep.equal([200, true, idOf(made)]);
      expect(await again.json()).to.deep.equal(body);
    }
    const v1 = await send(key, bodyOf('kept'), { path: V1 });
    expect(await v1.json()).to.deep.equal(body);
    expect(timesAsked('kept')).to.equal(1);
  });

  it('answers a stream from what is kept when the task has ended', async () => {
    const key = newKey();
    const made = await send(key, bodyOf('kept stream', true));
    const texts = await textsOf(made);
    const again = await send(key, bodyOf('kept stream', true), { at: edges[0] });
    expect([isReplay(again), idOf(again)]).to.deep.equal([true, idOf(made)]);
    expect(await textsOf(again)).to.deep.equal(texts);
    expect(timesAsked('kept stream')).to.equal(1);
  });

  it('answers a failure again as it was', async () => {
    const key = newKey();
    backend.once(answers(400, { error: { message: 'too long', code: 'context_length_exceeded' } }));
    const made = await send(key, bodyOf('refused'));
    const again = await send(key, bodyOf('refused'));
    expect([made.status, again.status, isReplay(again)]).to.deep.equal([400, 400, true]);
    expect(await again.json()).to.deep.equal(await made.json());
    expect(timesAsked('refused')).to.equal(1);
  });

  it('gives the same task at POST /tasks, and its answer at infer with the same request', async () => {
    const key = newKey();
    const request = bodyOf('a task');
    const made = await send(key, { llm: 'desk', request }, { path: TASKS });
    const again = await send(
      key,
      { request, priority: 'background', llm: 'desk' },
      { path: TASKS, at: edges[0] },
    );
    expect([made.status, again.status]).to.deep.equal([202, 202]);
    const [a, b] = (await Promise.all([made.json(), again.json()])) as TaskView[];
    expect([isReplay(made), isReplay(again), b?.id]).to.deep.equal([false, true, a?.id]);
    const attached = await send(key, request);
    expect([attached.status, idOf(attached)]).to.deep.equal([200, a?.id]);
    const whole = await send(key, { llm: 'desk', request }, { path: TASKS, headers: { prefer: 'wait=5' } });
    expect(whole.status).to.equal(200);
    expect(await whole.json()).to.include({ id: a?.id, status: 'completed', onDisconnect: 'continue' });
    expect(timesAsked('a task')).to.equal(1);
  });

  it('holds a new task to its end where that is preferred, and an async call to its answer', async () => {
    const headers = { prefer: 'wait=20' };
    const task = await t.call('POST', TASKS, { body: { llm: 'desk', request: bodyOf('held') }, headers });
    expect([task.status, task.headers.get('preference-applied')]).to.deep.equal([200, 'wait=20']);
    expect(await task.json())
      .to.include({ status: 'completed' })
      .and.to.have.property('response');
    const prefer = 'respond-async, wait=20';
    const answer = await t.call('POST', INFER, { body: bodyOf('held'), headers: { prefer } });
    expect([answer.status, answer.headers.get('preference-applied')]).to.deep.equal([200, prefer]);
    expect(await answer.json()).to.have.nested.property('choices[0].message.content', 'Hello there');
    expect(await t.task(idOf(answer))).to.include({ source: 'async', onDisconnect: 'continue' });
    const stream = await t.call('POST', INFER, { body: bodyOf('held', true), headers: { prefer } });
    expect(await textsOf(stream)).to.deep.equal(['Hello', ' there']);
  });

  it('refuses another request under the same key, at every door', async () => {
    const key = newKey();
    const made = await send(key, bodyOf('the one'));
    const other = [
      await send(key, bodyOf('another')),
      await send(key, bodyOf('the one', true)),
      await send(key, bodyOf('the one'), { path: '/api/v1/llms/desks/infer' }),
      await send(key, bodyOf('the one'), { headers: { 'x-mcpctl-pin': 'desk' } }),
      await send(key, { llm: 'desk', request: bodyOf('another') }, { path: TASKS }),
    ];
    for (const answer of other) {
      expect(answer.status).to.equal(422);
      expect(await answer.json()).to.have.property('code', 'idempotency_mismatch');
    }
    const v1 = await send(key, bodyOf('another'), { path: V1 });
    expect([v1.status, v1.headers.get('x-should-retry')]).to.deep.equal([422, 'false']);
    expect(await v1.json()).to.have.nested.property('error.code', 'idempotency_mismatch');
    expect(isReplay(await send(key, bodyOf('the one')))).to.equal(true);
    expect([made.status, timesAsked('another')]).to.deep.equal([200, 0]);
  });

  it('takes the key of another user for another key', async () => {
    const [key, token] = [newKey(), await t.tokenFor('stranger')];
    const mine = await send(key, bodyOf('whose'));
    const theirs = await send(key, bodyOf('whose'), { token });
    const other = await send(key, bodyOf('something else'), { token: await t.tokenFor('third') });
    expect([mine.status, theirs.status, other.status]).to.deep.equal([200, 200, 200]);
    expect(new Set([mine, theirs, other].map(idOf)).size).to.equal(3);
  });

  it('uses a key again once it has expired', async () => {
    const key = newKey();
    const first = await send(key, bodyOf('first'));
    await t.sandbox.connection
      .db('idempotency')
      .where({ key })
      .update({ expiresAt: new Date(0) });
    const second = await send(key, bodyOf('second'));
    expect([second.status, isReplay(second)]).to.deep.equal([200, false]);
    expect(idOf(second)).not.to.equal(idOf(first));
    expect(idOf(await send(key, bodyOf('second')))).to.equal(idOf(second));
  });

  it('leaves the key of a call that made no task unused', async () => {
    const key = newKey();
    const refused = await send(key, bodyOf('no pin'), { headers: { 'x-mcpctl-pin': 'nobody' } });
    expect(refused.status).to.equal(404);
    expect(isReplay(await send(key, bodyOf('no pin')))).to.equal(false);
  });

  it('gives the caller a minute to come back, unless it says otherwise', async () => {
    const policy = async (headers: Record<string, string>): Promise<unknown[]> => {
      const answer = await t.call('POST', INFER, { body: bodyOf('policy'), headers });
      const { onDisconnect, graceSeconds } = await t.task(idOf(answer));
      return [onDisconnect, graceSeconds];
    };
    const header = { 'x-mcpctl-on-disconnect': 'continue' };
    expect(await policy({})).to.deep.equal(['cancel', null]);
    expect(await policy({ 'idempotency-key': newKey() })).to.deep.equal(['grace', 60]);
    expect(await policy({ 'idempotency-key': newKey(), ...header })).to.deep.equal(['continue', null]);
  });
});
