import { expect } from 'chai';
import { pause } from '../../core/runtime/clock.ts';
import { chats, startBackend, type Backend } from '../support/backend.ts';
import { onceIn, onEachTransport } from '../support/each-transport.ts';
import { nextText, sseData } from '../support/sse.ts';
import type { ExplainView } from '../../core/task/explain.ts';
import { startSystem, until, type CallOptions, type System } from '../support/system.ts';

const ask = (content = 'hi') => ({ messages: [{ role: 'user', content }] });
const asked = (backend: Backend) => backend.requests.filter(({ method }) => method === 'POST');
const served = (backend: Backend): string[] =>
  asked(backend).map(({ json }) => {
    const [message] = (json?.['messages'] ?? []) as { content?: string }[];
    return message?.content ?? '';
  });

onEachTransport('a pool', function (transport) {
  this.timeout(120_000);
  const once = onceIn(transport);
  let t: System;
  const backends: Backend[] = [];
  before(async () => {
    t = await startSystem({}, { transport });
  });
  afterEach(() => t.killWorkers());
  after(async () => {
    await t.close();
    for (const backend of backends) await backend.close();
  });
  const newBackend = async (): Promise<Backend> => {
    const backend = await startBackend();
    backends.push(backend);
    return backend;
  };
  const infer = (llm: string, content?: string, more: CallOptions = {}): Promise<Response> =>
    t.call('POST', `/api/v1/llms/${llm}/infer`, { body: ask(content), ...more });
  const submit = async (llm: string, more: CallOptions = {}): Promise<string> => {
    const answer = await t.call('POST', '/api/v1/tasks', {
      body: { llm, request: ask('background') },
      ...more,
    });
    expect(answer.status).to.equal(202);
    return ((await answer.json()) as { id: string }).id;
  };
  const completed = (id: string) =>
    until(
      () => t.task(id),
      ({ status }) => status === 'completed',
      20_000,
    );
  const pin = (name: string): CallOptions => ({ headers: { 'x-mcpctl-pin': name } });

  it('serves its owner’s tasks before others’ that came earlier, and theirs in their turns', async () => {
    const backend = await newBackend();
    backend.reply(chats(['x'], { paced: true }));
    await t.startWorker([{ name: 'owned', maxConcurrency: 1, backend }]);
    const other = await t.tokenFor('other');
    const answers: Promise<Response>[] = [];
    const call = async (content: string, token = t.token): Promise<void> => {
      answers.push(infer('owned', content, { token }));
      await until(
        () => t.openTasks('owned'),
        (open) => open === answers.length,
      );
    };
    await call('runs', other);
    await backend.next('request');
    for (const content of ['theirs 1', 'theirs 2', 'theirs 3']) await call(content, other);
    for (const content of ['own 1', 'own 2']) await call(content);
    for (let n = 1; n < answers.length; n++) {
      backend.release();
      await backend.next('request');
    }
    backend.release();
    for (const answer of answers) expect((await answer).status).to.equal(200);
    expect(served(backend)).to.deep.equal(['runs', 'own 1', 'own 2', 'theirs 1', 'theirs 2', 'theirs 3']);
  });

  once(
    'serves an interactive call before a thousand async tasks: at most one that runs goes first',
    async () => {
      const backend = await newBackend();
      backend.reply(chats(['x'], { paced: true }));
      await t.startWorker([{ name: 'desk', maxConcurrency: 1, backend }]);
      const [batch, person] = [await t.tokenFor('batch'), await t.tokenFor('person')];
      for (let n = 0; n < 20; n++)
        await Promise.all(Array.from({ length: 50 }, () => submit('desk', { token: batch })));
      await backend.next('request');
      const calling = t.call('POST', '/api/v1/llms/desk/infer', {
        body: { ...ask('urgent'), stream: true },
        token: person,
      });
      // The status is committed with the first word: it is the next to be taken, before all of them.
      const events = sseData(await calling);
      const first = JSON.parse((await events.next()).value ?? '{}') as { mcpctl?: unknown };
      expect(first.mcpctl).to.deep.equal({ state: 'queued', position: 1 });
      const before = served(backend).length;
      expect(await t.registry.tasks.openInPool('desk', 2_000)).to.be.at.least(1_000);
      backend.release(1); // the one that runs ends
      await backend.next('request');
      expect(served(backend).slice(before)).to.deep.equal(['urgent']);
      backend.release(1);
      expect(await nextText(events)).to.equal('x');
      expect(await nextText(events)).to.equal(undefined);
      await backend.next('request');
      expect(served(backend).slice(before)).to.deep.equal(['urgent', 'background']);
    },
  );

  it('has an llm that left for another pool take what waits in the former one, and nothing that is asked anew', async () => {
    const backend = await newBackend();
    backend.reply(chats(['x'], { paced: true }));
    const offer = { name: 'mover', maxConcurrency: 1, backend };
    const worker = await t.startWorker([{ ...offer, poolName: 'before' }]);
    const ids = [await submit('before'), await submit('before'), await submit('before')];
    await backend.next('request');
    await worker.kill('SIGKILL');
    await t.startWorker([{ ...offer, poolName: 'after' }], { home: worker.home });
    const answers = ids.map(async (id) => await completed(id));
    const explained = async (id: string): Promise<unknown[]> => {
      const { candidates } = (await (
        await t.call('GET', `/api/v1/tasks/${id}/explain`)
      ).json()) as ExplainView;
      return candidates.map(({ name, verdict }) => `${name} ${verdict}`);
    };
    for (const at of ids.keys()) {
      await backend.next('request');
      // One runs, and what waits waits for the same one, which is none of the pool's any more.
      if (at === 0) expect(await Promise.all(ids.map(explained))).to.deep.include(['mover drains']);
      backend.release();
    }
    await Promise.all(answers);
    expect((await infer('before')).status).to.equal(404);
    const anew = infer('after');
    await backend.next('request');
    backend.release();
    expect((await anew).status).to.equal(200);
  });

  it('sends a pinned call to that member only, and says at once when it is not there', async () => {
    const [one, two] = [await newBackend(), await newBackend()];
    const worker = await t.startWorker([{ name: 'one', poolName: 'house', backend: one }]);
    await t.startWorker([{ name: 'two', poolName: 'house', backend: two }]);
    const calls = Array.from({ length: 10 }, () => infer('house', 'pinned', pin('two')));
    for (const answer of await Promise.all(calls)) expect(answer.status).to.equal(200);
    expect([asked(one).length, asked(two).length]).to.deep.equal([0, 10]);
    await worker.kill('SIGTERM');
    const started = performance.now();
    const refused = await infer('house', 'pinned', pin('one'));
    expect(performance.now() - started).to.be.lessThan(1_000);
    expect(refused.status).to.equal(503);
    expect(await refused.json()).to.include({
      code: 'no_active_llm',
      error: "No active Llm in pool 'house' (pinned: one)",
    });
    expect((await infer('house', 'whoever')).status).to.equal(200);
    expect((await infer('house', 'pinned', pin('three'))).status).to.equal(404);
    expect(asked(one)).to.have.length(0);
  });

  once('has each call of who may run one of its members at that one, whoever else is idle', async () => {
    const [mine, other] = [await newBackend(), await newBackend()];
    const worker = await t.startWorker([{ name: 'mine', poolName: 'shared', backend: mine }]);
    await t.startWorker([{ name: 'others', poolName: 'shared', backend: other }]);
    const bindings = [{ role: 'run', resource: 'llm', name: 'mine' }];
    const made = await t.call('POST', '/api/v1/tokens', {
      body: { name: 'one-llm', preset: 'call', bindings },
      token: await t.tokenFor('guest'),
    });
    expect(made.status).to.equal(201);
    const { token } = (await made.json()) as { token: string };
    for (let n = 0; n < 10; n++) {
      const calls = Array.from({ length: 20 }, () => infer('mine', 'hi', { token }));
      for (const answer of await Promise.all(calls)) expect(answer.status).to.equal(200);
    }
    expect([asked(mine).length, asked(other).length]).to.deep.equal([200, 0]);
    for (const llm of ['shared', 'others']) expect((await infer(llm, 'hi', { token })).status).to.equal(404);
    await worker.kill('SIGTERM');
    const refused = await infer('mine', 'hi', { token });
    expect([refused.status, await refused.json()]).to.have.nested.property('[1].code', 'no_active_llm');
    expect(asked(other)).to.have.length(0);
  });

  it('has as many slots as its backends, over two edges and all queues of a worker', async () => {
    let [most, now] = [0, 0];
    const backend = await newBackend();
    backend.reply(async (exchange) => {
      now += 1;
      most = Math.max(most, now);
      await pause(20); // the backend thinks
      await chats(['x'])(exchange);
      now -= 1;
    });
    await t.startWorker([
      { name: 'left', maxConcurrency: 2, backend },
      { name: 'right', maxConcurrency: 2, backend },
      { name: 'left-too', poolName: 'left', maxConcurrency: 2, backend },
    ]);
    const edges = [await t.startEdge(), await t.startEdge()];
    const calls = Array.from({ length: 40 }, (_, i) => {
      const [llm, at] = [i % 2 ? 'left' : 'right', edges[i % 3 === 0 ? 0 : 1]];
      const pinned = i % 4 < 2 ? pin(llm) : {};
      return infer(llm, 'x', { ...pinned, ...(at ? { at } : {}) });
    });
    for (const answer of await Promise.all(calls)) expect(answer.status).to.equal(200);
    expect(most).to.equal(2);
  });

  it('gives a task to whoever has room: of two idle members, both', async () => {
    const pair = [await newBackend(), await newBackend()];
    for (const [i, backend] of pair.entries()) {
      backend.reply(chats(['x'], { intervalMs: 30 }));
      await t.startWorker([{ name: `m${i}`, poolName: 'pair', maxConcurrency: 4, backend }]);
    }
    const answers = await Promise.all(Array.from({ length: 12 }, () => infer('pair')));
    for (const answer of answers) expect(answer.status).to.equal(200);
    for (const backend of pair) expect(asked(backend).length).to.be.greaterThan(0);
  });

  it('keeps the tasks that were queued under its key when a member changes its pool', async () => {
    const [stays, moves] = [await newBackend(), await newBackend()];
    stays.reply(chats(['stayed'], { paced: true }));
    await t.startWorker([{ name: 'stays', poolName: 'old', maxConcurrency: 1, backend: stays }]);
    const worker = await t.startWorker([
      { name: 'moves', poolName: 'old', maxConcurrency: 1, backend: moves },
    ]);
    const running = infer('old', 'occupies', pin('stays'));
    await stays.next('request');
    await worker.kill('SIGTERM');
    const id = await submit('old', pin('stays'));
    const free = await submit('old');
    await t.startWorker([{ name: 'moves', poolName: 'new', maxConcurrency: 1, backend: moves }], {
      home: worker.home,
    });
    await until(
      () => t.llm('moves'),
      ({ status, pool }) => status === 'active' && pool?.key === 'new',
    );
    expect((await infer('new', 'at work')).status).to.equal(200);
    expect((await infer('moves', 'by name')).status).to.equal(200);
    // Whoever left takes what waits there, under the key that it waits under.
    expect(await completed(free)).to.include({ claimedLlm: 'moves', poolName: 'old' });
    expect(await t.task(id)).to.include({ status: 'pending', poolName: 'old' });
    stays.release(2);
    expect((await running).status).to.equal(200);
    expect(await completed(id)).to.include({ claimedLlm: 'stays', poolName: 'old' });
    expect(served(moves).sort()).to.deep.equal(['at work', 'background', 'by name']);
  });

  once('is joined by the solo llm whose name is its key', async () => {
    const [solo, member] = [await newBackend(), await newBackend()];
    for (const backend of [solo, member]) backend.reply(chats(['x'], { intervalMs: 30 }));
    await t.startWorker([{ name: 'qwen', maxConcurrency: 1, backend: solo }]);
    expect((await t.llm('qwen')).pool).to.deep.equal({ key: 'qwen', size: 1, activeCount: 1 });
    await t.startWorker([{ name: 'qwen-too', poolName: 'qwen', maxConcurrency: 1, backend: member }]);
    expect((await t.llm('qwen')).pool).to.deep.equal({ key: 'qwen', size: 2, activeCount: 2 });
    expect((await t.llm('qwen-too')).pool?.key).to.equal('qwen');
    const answers = await Promise.all(Array.from({ length: 8 }, () => infer('qwen')));
    for (const answer of answers) expect(answer.status).to.equal(200);
    expect(asked(solo).length).to.be.greaterThan(0);
    expect(asked(member).length).to.be.greaterThan(0);
  });

  once('counts a user’s streams at an edge, and gives room again when one has ended', async () => {
    const edge = await t.startEdge(0, { MCPCTL_MAX_USER_STREAMS: '2' });
    const backend = await newBackend();
    backend.reply(chats(['x'], { paced: true }));
    await t.startWorker([{ name: 'counted', maxConcurrency: 4, backend }]);
    const open = new AbortController();
    const stream = (more: CallOptions = {}): Promise<Response> =>
      t.call('POST', '/api/v1/llms/counted/infer', { body: { ...ask(), stream: true }, at: edge, ...more });
    const first = stream({ signal: open.signal });
    first.catch(() => undefined); // it leaves
    const second = stream();
    for (let n = 0; n < 2; n++) await backend.next('request');
    const refused = await t.call('POST', '/v1/chat/completions', {
      body: { model: 'counted', ...ask(), stream: true },
      at: edge,
    });
    expect(refused.status).to.equal(429);
    expect(refused.headers.get('retry-after')).to.equal('1');
    expect(refused.headers.get('x-should-retry')).to.equal('true');
    expect(await refused.json()).to.have.nested.property('error.code', 'rate_limit_exceeded');
    const running = (await (await t.call('GET', '/api/v1/tasks?llm=counted')).json()) as {
      items: { id: string }[];
    };
    const looking = await t.call('GET', `/api/v1/tasks/${running.items[0]?.id ?? ''}/stream`, { at: edge });
    expect(looking.status).to.equal(429);
    const whole = infer('counted', 'in one piece', { at: edge });
    const another = stream({ token: await t.tokenFor('another') });
    for (let n = 0; n < 2; n++) await backend.next('request');
    open.abort();
    await backend.next('closed');
    backend.release(Infinity);
    for (const answer of [second, another])
      for await (const data of sseData(await answer)) if (data === '[DONE]') break;
    expect((await whole).status).to.equal(200);
    await until(
      async () => {
        const answer = await stream();
        await answer.body?.cancel();
        return answer.status;
      },
      (status) => status === 200,
    );
  });
});
