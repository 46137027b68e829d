import { expect } from 'chai';
import type { MembersView } from '../../core/pool.ts';
import type { ExplainView } from '../../core/task/explain.ts';
import type { TaskView } from '../../core/task/task.ts';
import { answers, chats, hangs, startBackend, type Backend } from '../support/backend.ts';
import { onceIn, onEachTransport } from '../support/each-transport.ts';
import { nextText, sseData } from '../support/sse.ts';
import { startSystem, until, type System, type WorkerProcess } from '../support/system.ts';

const body = { messages: [{ role: 'user', content: 'hi' }] };
const posts = (backend: Backend): number => backend.requests.filter((r) => r.method === 'POST').length;
const broken = answers(500, { error: { message: 'out of memory' } });

onEachTransport('failover', function (transport) {
  this.timeout(90_000);
  const once = onceIn(transport);
  let t: System;
  let bad: Backend;
  let good: Backend;
  let badWorker: WorkerProcess;
  let pools = 0;
  const backends: Backend[] = [];
  const newBackend = async (): Promise<Backend> => {
    const backend = await startBackend();
    backends.push(backend);
    return backend;
  };

  /** A pool of its own with two members, of which `bad-…` alone is there when the call comes. */
  const pair = async (): Promise<{ pool: string; addGood: () => Promise<WorkerProcess> }> => {
    const pool = `pair${++pools}`;
    bad = await newBackend();
    good = await newBackend();
    good.reply(chats(['from', ' the sibling']));
    badWorker = await t.startWorker([{ name: `bad-${pool}`, poolName: pool, backend: bad }]);
    const addGood = () => t.startWorker([{ name: `good-${pool}`, poolName: pool, backend: good }]);
    return { pool, addGood };
  };
  /** Calls while only the bad member is there; it answers once the good one has joined. */
  const callThrough = async (script: Parameters<Backend['reply']>[0], more: object = {}) => {
    const { pool, addGood } = await pair();
    let fail: () => void = () => undefined;
    const joined = new Promise<void>((resolve) => (fail = resolve));
    bad.reply(async (exchange) => {
      await joined;
      await script(exchange);
    });
    const calling = t.call('POST', `/api/v1/llms/${pool}/infer`, { body: { ...body, ...more } });
    await bad.next('request');
    await addGood();
    fail();
    const answer = await calling;
    return { pool, answer, task: () => t.task(answer.headers.get('x-mcpctl-task-id') ?? '') };
  };
  const contentOf = async (answer: Response): Promise<unknown> =>
    ((await answer.json()) as { choices: { message: { content: string } }[] }).choices[0]?.message.content;

  before(async () => {
    t = await startSystem({}, { transport });
  });
  afterEach(() => t.killWorkers());
  after(async () => {
    await t.close();
    for (const backend of backends) await backend.close();
  });

  for (const [how, script] of [
    ['answers 500', broken],
    ['resets the connection', ({ drop }) => drop()],
    ['asks to come later', answers(429, { error: { message: 'busy' } }, { 'retry-after': '2' })],
    ['sends half an answer', answers(200, '{"choices": [{"index": 0, "mess')],
  ] satisfies [string, Parameters<Backend['reply']>[0]][]) {
    const make = how === 'answers 500' ? it : once;
    make(`has another member try when a backend ${how}`, async () => {
      const { answer, task } = await callThrough(script);
      expect(answer.status).to.equal(200);
      expect(await contentOf(answer)).to.equal('from the sibling');
      const { attempts, crashes, claimedLlm, attemptLog } = await task();
      expect({ attempts, crashes }).to.deep.equal({ attempts: 1, crashes: 0 });
      expect(claimedLlm).to.match(/^good/);
      expect(attemptLog?.[0]?.llm).to.match(/^bad/);
      expect(attemptLog?.[0]?.reason).to.match(/^(backend_|too_many)/);
      // Where the connection was a kept one, its reset may mean that it had been closed: sent once more.
      expect(posts(bad)).to.be.within(1, how === 'resets the connection' ? 2 : 1);
    });
  }

  it('has another member try when a stream fails before its first event', async () => {
    const { answer } = await callThrough(broken, { stream: true });
    const events = sseData(answer);
    expect(await nextText(events)).to.equal('from');
    expect(await nextText(events)).to.equal(' the sibling');
  });

  it('lets a failed member rest until its backend answers again', async () => {
    const { pool, addGood } = await pair();
    await addGood();
    bad.reply(broken);
    bad.down = true;
    // The failed member is the idle one, and still takes nothing more.
    for (let n = 0; n < 12; n++) {
      const answer = await t.call('POST', `/api/v1/llms/${pool}/infer`, { body });
      expect(answer.status).to.equal(200);
    }
    expect(posts(bad)).to.be.at.most(1);
    bad.reply(chats(['well again']));
    bad.down = false;
    if (posts(bad) === 1) await badWorker.event('member.serves');
    await until(
      () => t.call('POST', `/api/v1/llms/${pool}/infer`, { body }).then(contentOf),
      (content) => content === 'well again',
    );
  });

  it('answers 503 at once when the only backend is gone, and serves again when it is back', async () => {
    const { pool } = await pair();
    bad.reply(broken);
    bad.down = true;
    const first = await t.call('POST', `/api/v1/llms/${pool}/infer`, { body });
    expect(first.status).to.equal(502);
    expect(await first.json()).to.have.property('code', 'backend_error');
    const gone = await until(
      () => t.call('POST', `/api/v1/llms/${pool}/infer`, { body }),
      (answer) => answer.status === 503,
    );
    expect(await gone.json()).to.have.property('error', `No active Llm in pool '${pool}'`);
    expect(posts(bad)).to.equal(1);
    bad.reply(chats(['back']));
    bad.down = false;
    const again = await until(
      () => t.call('POST', `/api/v1/llms/${pool}/infer`, { body }),
      (answer) => answer.status === 200,
    );
    expect(await contentOf(again)).to.equal('back');
  });

  it('gives up after three attempts, and lists each', async () => {
    const four = await Promise.all([1, 2, 3, 4].map(newBackend));
    for (const [i, backend] of four.entries()) {
      backend.reply(answers([500, 502, 504, 507][i] ?? 500, { error: { message: 'broken' } }));
      await t.startWorker([{ name: `four-${i}`, poolName: 'four', backend }]);
    }
    const answer = await t.call('POST', '/api/v1/llms/four/infer', { body });
    expect(answer.status).to.equal(502);
    const { error, code } = (await answer.json()) as { error: string; code: string };
    expect(code).to.equal('backend_error');
    expect(error.match(/four-\d: backend_error/g)).to.have.length(3);
    expect(four.reduce((sum, b) => sum + posts(b), 0)).to.equal(3);
    const task = await t.task(answer.headers.get('x-mcpctl-task-id') ?? '');
    expect(task).to.include({ status: 'error', attempts: 3 });
    expect(new Set(task.attemptLog?.map((a) => a.llm)).size).to.equal(3);
    expect(task.error?.message).to.equal(error);
  });

  it('passes a refusal of the request on as it is, and asks nobody else', async () => {
    const refusal = { error: { message: 'context too long', type: 'invalid_request_error', odd: 1 } };
    const { answer } = await callThrough(answers(422, refusal));
    expect(answer.status).to.equal(422);
    expect(await answer.json()).to.deep.equal(refusal);
    expect(posts(good)).to.equal(0);
  });

  once('asks another where the worker’s own key is wrong, and lets that member rest', async () => {
    const { answer, pool, task } = await callThrough(
      answers(401, { error: { message: 'bad key sk-secret' } }),
    );
    expect(await contentOf(answer)).to.equal('from the sibling');
    expect((await task()).attemptLog?.[0]?.reason)
      .to.match(/^backend_auth_failed/)
      .and.not.include('sk-');
    await badWorker.event('member.rests', (line) => line['llm'] === `bad-${pool}`);
  });

  once('says that the worker’s own key is wrong where nobody else is there', async () => {
    const { pool } = await pair();
    bad.reply(answers(401, { error: { message: 'bad key sk-secret' } }));
    const answer = await t.call('POST', `/api/v1/llms/${pool}/infer`, { body });
    expect(answer.status).to.equal(502);
    expect(await answer.text())
      .to.include('backend_auth_failed')
      .and.not.include('sk-secret');
  });

  once('waits for the only backend while it loads its model, with whoever waits and without', async () => {
    const { pool } = await pair();
    const loading = answers(503, { error: { code: 503, message: 'Loading model' } });
    bad.once(loading);
    bad.once(loading);
    const answer = await t.call('POST', `/api/v1/llms/${pool}/infer`, { body: { ...body, stream: true } });
    expect(await nextText(sseData(answer))).to.equal('Hello');
    for (let n = 0; n < 3; n++) bad.once(loading);
    const made = await t.call('POST', '/api/v1/tasks', { body: { llm: pool, request: body } });
    const { id } = (await made.json()) as TaskView;
    const task = await until(
      () => t.task(id),
      (now) => now.status === 'completed',
      30_000,
    );
    expect(task.attempts).to.equal(0);
    expect(task.attemptLog?.[0]?.reason).to.include('Loading model');
  });

  it('passes on how long to wait when the only backend is busy, and shows for how long it rests', async () => {
    const { pool } = await pair();
    bad.reply(answers(429, { error: { message: 'busy' } }, { 'retry-after': '7' }));
    const answer = await t.call('POST', `/api/v1/llms/${pool}/infer`, { body });
    expect(answer.status).to.equal(429);
    expect(answer.headers.get('retry-after')).to.equal('7');
    const members = async (): Promise<MembersView['members']> =>
      ((await (await t.call('GET', `/api/v1/pools/${pool}`)).json()) as MembersView).members;
    const [resting] = await until(members, ([one]) => one?.restingUntil !== undefined);
    expect(Date.parse(resting?.restingUntil ?? '') - Date.now()).to.be.within(1, 7_000);
    const explained = (await (await t.call('GET', `/api/v1/llms/${pool}/explain`)).json()) as ExplainView;
    expect(explained.candidates[0]?.reason).to.match(/^It rests for \d s more/);
  });

  it('never starts over what was shown: an error frame ends it', async () => {
    const { pool, addGood } = await pair();
    await addGood();
    for (const backend of [bad, good]) {
      backend.reply(chats(['one', 'two'], { paced: true, dieAfter: 1 }));
      backend.release();
    }
    const answer = await t.call('POST', `/api/v1/llms/${pool}/infer`, { body: { ...body, stream: true } });
    const events = sseData(answer);
    expect(await nextText(events)).to.equal('one');
    for (const backend of [bad, good]) backend.release();
    const frames = [];
    for await (const data of events) frames.push(data);
    expect(frames.at(-1)).to.include('"error"').and.include('backend_');
    expect(frames.join()).not.to.include('[DONE]');
    expect(posts(bad) + posts(good)).to.equal(1);
  });

  it('ends a pinned task with its member’s failure, although a sibling is idle', async () => {
    const { pool, addGood } = await pair();
    await addGood();
    bad.reply(broken);
    const headers = { 'x-mcpctl-pin': `bad-${pool}` };
    const answer = await t.call('POST', `/api/v1/llms/${pool}/infer`, { body, headers });
    expect(answer.status).to.equal(502);
    expect(posts(good)).to.equal(0);
  });

  once(
    'has a task that nobody waits for tried again by its only member, once that has recovered',
    async () => {
      const { pool } = await pair();
      bad.once(broken);
      const made = await t.call('POST', '/api/v1/tasks', { body: { llm: pool, request: body } });
      const { id } = (await made.json()) as TaskView;
      const task = await until(
        () => t.task(id),
        (now) => now.status === 'completed',
        20_000,
      );
      expect(task.attempts).to.equal(1);
      expect(posts(bad)).to.equal(2);
    },
  );

  it('waits for a busy member rather than ask one that failed, without a busy loop', async () => {
    const { pool, addGood } = await pair();
    await addGood();
    // The only slot of the good one is taken, by a pinned call.
    good.reply(chats(['slow'], { paced: true }));
    const pinned = Array.from({ length: 4 }, () =>
      t.call('POST', `/api/v1/llms/${pool}/infer`, { body, headers: { 'x-mcpctl-pin': `good-${pool}` } }),
    );
    for (let n = 0; n < 4; n++) await good.next('request');
    bad.once(broken);
    bad.reply(hangs()); // what the excluded one would be caught with
    const calling = t.call('POST', `/api/v1/llms/${pool}/infer`, { body });
    await bad.next('request');
    await badWorker.event('member.serves');
    const taking = transport === 'sse' ? t.edge : badWorker;
    const meetings = () => taking.lines.filter((l) => l.msg === 'a task is put aside for other members');
    await until(
      async () => meetings().length,
      (n) => n >= 4,
    );
    const first = Number(meetings()[0]?.['time']);
    const spent = Number(meetings()[3]?.['time']) - first;
    expect(spent).to.be.at.least(100 + 200 + 400 - 50);
    good.release(Infinity);
    expect((await calling).status).to.equal(200);
    for (const answer of await Promise.all(pinned)) expect(answer.status).to.equal(200);
    expect(posts(bad)).to.equal(1);
  });
});
