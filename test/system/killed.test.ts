import { expect } from 'chai';
import type { TurnDetail } from '../../core/agent/thread.ts';
import { answers, chats, startBackend, type Backend } from '../support/backend.ts';
import { nextText, sseData, sseFrames } from '../support/sse.ts';
import { startSystem, until, type System, type WorkerProcess } from '../support/system.ts';

const body = { messages: [{ role: 'user', content: 'hi' }] };

describe('SIGKILL during a conversation', function () {
  this.timeout(60_000);
  let t: System;
  let worker: WorkerProcess;
  let sibling: Backend;
  const infer = (more: object = {}): Promise<Response> =>
    t.call('POST', '/api/v1/llms/desk/infer', { body: { ...body, ...more } });
  const posts = (): number => t.backend.requests.filter((r) => r.method === 'POST').length;
  /** Calls, and waits until the backend has the request. */
  const inferUntilAsked = async (): Promise<{ answer: Promise<Response> }> => {
    const before = posts();
    const answer = infer();
    answer.catch(() => undefined); // looked at later, or not at all where its edge is killed
    await until(
      async () => posts(),
      (now) => now > before,
    );
    return { answer };
  };
  const nextMessageWorks = async (): Promise<void> => {
    t.backend.reply(chats(['fine']));
    const answer = await until(infer, (r) => r.status === 200, 20_000);
    expect(await answer.json()).to.have.nested.property('choices[0].message.content', 'fine');
  };
  const nothingStaysOpen = (): Promise<number> =>
    until(
      () => t.openTasks(),
      (open) => open === 0,
      30_000,
    );

  before(async () => {
    [t, sibling] = await Promise.all([startSystem(), startBackend()]);
    worker = await t.startWorker([{ name: 'desk', backend: t.backend }]);
  });
  after(async () => {
    await t.close();
    await sibling.close();
  });
  beforeEach(() => {
    t.backend.forget(); // what one case released and nobody took would let the next one's answer end
    t.backend.reply(chats(['one', 'two', 'three'], { paced: true }));
  });

  it('of the edge breaks the stream; the next message works and no row stays open', async () => {
    const calling = infer({ stream: true });
    t.backend.release();
    const events = sseData(await calling);
    expect(await nextText(events)).to.equal('one');
    const port = Number(new URL(t.url).port);
    await t.edge.kill('SIGKILL');
    const broken = await nextText(events).then(
      () => 'a clean end',
      () => 'broken',
    );
    expect(broken).to.equal('broken');
    await t.startEdge(port);
    t.backend.release(2);
    await nothingStaysOpen();
    await nextMessageWorks();
  });

  it('of the worker ends a shown stream with worker_lost, never a second generation', async () => {
    const calling = infer({ stream: true });
    t.backend.release();
    const answer = await calling;
    const events = sseData(answer);
    expect(await nextText(events)).to.equal('one');
    const asked = posts();
    await worker.kill('SIGKILL');
    const frame = JSON.parse((await events.next()).value ?? '{}') as { error?: { code?: string } };
    expect(frame.error?.code).to.equal('worker_lost');
    expect((await events.next()).done).to.equal(true);
    const task = await t.task(answer.headers.get('x-mcpctl-task-id') ?? '');
    expect(task).to.include({ status: 'error' });
    expect(task.error?.code).to.equal('worker_lost');
    expect(posts()).to.equal(asked);
    worker = await t.startWorker([{ name: 'desk', backend: t.backend }], { home: worker.home });
    await nextMessageWorks();
  });

  it('of the worker before anything was shown starts the task over when it is back', async () => {
    const { answer: calling } = await inferUntilAsked();
    await worker.kill('SIGKILL');
    t.backend.reply(chats(['second', ' run']));
    worker = await t.startWorker([{ name: 'desk', backend: t.backend }], { home: worker.home });
    const answer = await calling;
    expect(answer.status).to.equal(200);
    expect(await answer.json()).to.have.nested.property('choices[0].message.content', 'second run');
    const task = await t.task(answer.headers.get('x-mcpctl-task-id') ?? '');
    expect(task).to.include({ crashes: 1, attempts: 0, status: 'completed' });
    expect(task.attemptLog?.map(({ reason }) => reason.split(' (')[0])).to.deep.equal([
      'worker lost',
      'stop',
    ]);
  });

  it('of the scheduler is not noticed by callers; another leads within five seconds of its start', async () => {
    const calling = infer({ stream: true });
    t.backend.release();
    const events = sseData(await calling);
    expect(await nextText(events)).to.equal('one');
    await t.scheduler.kill('SIGKILL');
    t.backend.release(2);
    expect(await nextText(events)).to.equal('two');
    expect(await nextText(events)).to.equal('three');
    expect(await nextText(events)).to.equal(undefined);
    await t.startScheduler();
    await nextMessageWorks();
    await nothingStaysOpen();
  });

  it('of edge and scheduler together still settles what the worker has ended', async () => {
    await inferUntilAsked();
    const port = Number(new URL(t.url).port);
    // Whichever edge and scheduler live now.
    await t.killAll();
    t.backend.release(Infinity);
    await worker.event('claim.finished');
    await Promise.all([t.startEdge(port), t.startScheduler()]);
    await nothingStaysOpen();
    await nextMessageWorks();
  });

  it('of edge, worker and scheduler leaves a thread with what was shown, and no turn open', async () => {
    const agent = { name: 'reviewer', llm: 'desk', systemPrompt: 'You review.' };
    expect((await t.call('POST', '/api/v1/agents', { body: agent })).status).to.equal(201);
    const say = async (message: string, threadId?: string) => {
      const calling = t.call('POST', '/api/v1/agents/reviewer/chat', {
        body: { message, threadId, stream: true },
      });
      t.backend.release();
      const answer = await calling;
      const frames = sseFrames(answer);
      let last = await frames.next();
      while (last.done !== true && !last.value.data.includes('"one"')) last = await frames.next();
      const events = (async function* () {
        for await (const { data } of frames) yield data;
      })();
      return { id: answer.headers.get('x-mcpctl-thread-id') ?? '', events, at: last.value?.id ?? '' };
    };
    type Kept = { items: { role: string; status: string; content: string }[] };
    const answersIn = async (id: string): Promise<string[]> => {
      const kept = (await (await t.call('GET', `/api/v1/threads/${id}/messages`)).json()) as Kept;
      return kept.items
        .filter(({ role }) => role === 'assistant')
        .map(({ status, content }) => `${status}: ${content}`);
    };
    const servedBy = async (id: string): Promise<unknown[]> => {
      const kept = (await (await t.call('GET', `/api/v1/threads/${id}/messages`)).json()) as {
        items: { role: string; servedBy: string | null }[];
      };
      return kept.items.flatMap(({ role, servedBy: by }) => (role === 'assistant' ? [by] : []));
    };
    const idle = (id: string): Promise<unknown> =>
      until(
        async () => (await (await t.call('GET', `/api/v1/threads/${id}`)).json()) as { openTurn: unknown },
        ({ openTurn }) => openTurn === null,
        30_000,
      );
    const port = Number(new URL(t.url).port);

    // The edge alone: the turn goes on, and the scheduler writes what nobody waited for.
    const { id, events, at } = await say('first?');
    await t.killAll();
    await events.next().catch(() => undefined);
    t.backend.release(2);
    await Promise.all([t.startEdge(port), t.startScheduler()]);
    // Whoever read goes on behind what they have, and misses nothing and has nothing twice.
    const rest = sseData(await t.call('GET', `/api/v1/threads/${id}/stream?after=${at}`));
    expect([await nextText(rest), await nextText(rest), await nextText(rest)]).to.deep.equal([
      ...['two', 'three', undefined],
    ]);
    await idle(id);
    expect(await answersIn(id)).to.deep.equal(['complete: onetwothree']);

    // The worker in the middle: what was shown stays, and later turns are told of the first answer alone.
    t.backend.reply(chats(['one', 'two', 'three'], { paced: true }));
    const { events: second } = await say('second?', id);
    t.backend.release();
    expect(await nextText(second)).to.equal('two');
    await worker.kill('SIGKILL');
    let last = '';
    for await (const data of second) last = data; // while it is quiet, that it runs
    const frame = JSON.parse(last) as { error?: { code?: string } };
    expect(frame.error?.code).to.equal('worker_lost');
    await idle(id);
    expect(await answersIn(id)).to.deep.equal(['complete: onetwothree', 'error: onetwo']);
    worker = await t.startWorker([{ name: 'desk', backend: t.backend }], { home: worker.home });
    t.backend.reply(chats(['again']));
    const retried = await until(
      () => t.call('POST', `/api/v1/threads/${id}/turns/2/retry`),
      ({ status }) => status === 200,
      20_000,
    );
    expect(await retried.json()).to.include({ turn: 3, assistant: 'again' });
    const turnOf = async (n: number): Promise<TurnDetail> =>
      (await (await t.call('GET', `/api/v1/threads/${id}/turns/${n}`)).json()) as TurnDetail;
    const claimsOn = ({ answers: all }: TurnDetail): string[] =>
      all.flatMap(({ attempts }) => attempts.map(({ llm, reason }) => `${llm}: ${reason.split(' (')[0]}`));
    const [lost, again] = [await turnOf(2), await turnOf(3)];
    expect(lost).to.include({ status: 'error', inContext: false, triedAgainBy: 3 });
    expect(lost.error?.code).to.equal('worker_lost');
    expect(again).to.include({ status: 'completed', triesAgain: 2 });
    expect([claimsOn(lost), claimsOn(again)]).to.deep.equal([['desk: worker_lost'], ['desk: stop']]);
    t.backend.reply(chats(['third']));
    const body = { message: 'third?', threadId: id };
    const whole = await until(
      () => t.call('POST', '/api/v1/agents/reviewer/chat', { body }),
      ({ status }) => status === 200,
      20_000,
    );
    expect(await whole.json()).to.include({ threadId: id, assistant: 'third' });
    expect(t.backend.requests.at(-1)?.json?.['messages']).to.deep.equal([
      { role: 'system', content: 'You review.' },
      { role: 'user', content: 'first?' },
      { role: 'assistant', content: 'onetwothree' },
      { role: 'user', content: 'second?' },
      { role: 'assistant', content: 'again' },
      { role: 'user', content: 'third?' },
    ]);

    // Before a word was shown: another member of the pool answers, and each of the ways says which.
    t.backend.reply(chats(['never said'], { paced: true }));
    const asked = posts();
    const waiting = t.call('POST', '/api/v1/agents/reviewer/chat', { body: { message: 'fourth?' } });
    await until(
      async () => posts(),
      (now) => now > asked,
    );
    sibling.reply(chats(['from the rack']));
    await t.startWorker([{ name: 'rack', poolName: 'desk', backend: sibling }]);
    await worker.kill('SIGKILL');
    const fourth = await waiting;
    const ofRack = (await fourth.json()) as { threadId: string; assistant: string };
    expect(ofRack).to.include({ assistant: 'from the rack' });
    expect(fourth.headers.get('x-mcpctl-worker')).to.equal('rack');
    expect(await servedBy(ofRack.threadId)).to.deep.equal(['rack']);
    const ofFourth = await t.call('GET', `/api/v1/threads/${ofRack.threadId}/turns/1`);
    expect(claimsOn((await ofFourth.json()) as TurnDetail)).to.deep.equal([
      'desk: worker lost',
      'rack: stop',
    ]);
    // And once it is known that the pinned llm is away; an agent that runs on that alone has nobody.
    const bound = { name: 'bound', llm: 'desk', pinMode: 'only' };
    expect((await t.call('POST', '/api/v1/agents', { body: bound })).status).to.equal(201);
    await t.sandbox.connection
      .db('llms')
      .where({ name: 'desk' })
      .update({
        ...{ status: 'inactive', inactiveReason: 'publisher_gone', inactiveSince: new Date() },
      });
    const alone = await until(
      () => t.call('POST', '/api/v1/agents/bound/chat', { body: { message: 'fifth?' } }),
      ({ status }) => status === 503,
    );
    expect(await alone.text()).to.include("No active Llm in pool 'desk' (pinned: desk)");
    const fifth = await t.call('POST', '/api/v1/agents/reviewer/chat', { body: { message: 'fifth?' } });
    expect([fifth.status, fifth.headers.get('x-mcpctl-worker')]).to.deep.equal([200, 'rack']);
    await t.killWorkers();
    worker = await t.startWorker([{ name: 'desk', backend: t.backend }], { home: worker.home });
  });

  it('between the result of a tool and the next round loses neither, and asks once more only', async () => {
    const call = { id: 'c1', type: 'function', function: { name: 'look', arguments: '{}' } };
    const message = { role: 'assistant', content: null, tool_calls: [call] };
    const calling = answers(200, {
      object: 'chat.completion',
      choices: [{ index: 0, message, finish_reason: 'tool_calls' }],
    });
    const tools = [{ type: 'function', function: { name: 'look' } }];
    const port = Number(new URL(t.url).port);
    const agent = { name: 'looker', llm: 'desk' };
    expect((await t.call('POST', '/api/v1/agents', { body: agent })).status).to.equal(201);
    const begin = async (): Promise<string> => {
      t.backend.reply(calling);
      const asked = await until(
        () => t.call('POST', '/api/v1/agents/looker/chat', { body: { message: 'look!', tools } }),
        ({ status }) => status === 200,
        20_000,
      );
      t.backend.reply(chats(['It is 7.']));
      return ((await asked.json()) as { threadId: string }).threadId;
    };
    const bring = (id: string): Promise<Response> =>
      t.call('POST', `/api/v1/threads/${id}/turns/1/tool-results`, {
        body: [{ tool_call_id: 'c1', content: '7' }],
        headers: { prefer: 'respond-async' },
      });
    const kills: Record<string, (id: string) => Promise<unknown>> = {
      'edge and scheduler, as the result comes': async (id) => {
        const brought = bring(id).catch(() => undefined);
        await t.killAll();
        await brought;
        await Promise.all([t.startEdge(port), t.startScheduler()]);
        // Whoever was not answered brings it again.
        await until(
          () => bring(id),
          ({ status }) => status === 202,
          20_000,
        );
      },
      'worker, before its round is taken': async (id) => {
        await worker.kill('SIGKILL');
        expect((await bring(id)).status).to.equal(202);
        worker = await t.startWorker([{ name: 'desk', backend: t.backend }], { home: worker.home });
      },
    };
    for (const [whose, kill] of Object.entries(kills)) {
      const id = await begin();
      await kill(id);
      type Kept = { items: { turnIndex: number; role: string; status: string; content: string }[] };
      const { items } = await until(
        async () => (await (await t.call('GET', `/api/v1/threads/${id}/messages`)).json()) as Kept,
        (kept) => kept.items.at(-1)?.content === 'It is 7.',
        30_000,
      );
      const all = items.map(
        ({ turnIndex, role, status, content }) => `${turnIndex} ${role} ${status} ${content}`,
      );
      expect(all, whose).to.deep.equal([
        ...[
          '0 user complete look!',
          '1 assistant complete ',
          '2 tool complete 7',
          '3 assistant complete It is 7.',
        ],
      ]);
    }
  });
});
