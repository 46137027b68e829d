import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { createKeys } from '../../core/queue/keys.ts';
import { redisNow } from '../../core/queue/live/redis-time.ts';
import { askWorker } from '../../worker/local/client.ts';
import { chats, hangs, startBackend, type Backend } from '../support/backend.ts';
import { startBalancer, type Balancer } from '../support/balancer.ts';
import { note } from '../support/measured.ts';
import { nextText, sseData } from '../support/sse.ts';
import { startSystem, until, type EdgeProcess, type System, type WorkerProcess } from '../support/system.ts';
import { wireTo, wireToUrl, type Wire } from '../support/wire.ts';

/** What is promised; a test on a busy machine allows ten times as much. */
const BACK_MS = 5_000;
const CLOSED_MS = 250;
const TIMES = 10;
const STREAM = '_provider-stream';
const databaseUrl = process.env['DATABASE_URL'] ?? '';
const words = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight'];
const body = { messages: [{ role: 'user', content: 'hi' }] };

const contentOf = (answer: unknown): string =>
  (answer as { choices: { message: { content: string } }[] }).choices[0]?.message.content ?? '';

describe('an sse worker behind two edges', function () {
  this.timeout(180_000);
  let t: System;
  let backend: Backend;
  let balancer: Balancer<EdgeProcess>;
  /** Between the worker and the balancer. */
  let wire: Wire;
  let postgres: Wire;
  let worker: WorkerProcess;
  let session: string;
  let rowId: string;

  const offers = () => [{ name: 'desk', maxConcurrency: 16, backend }];
  const infer = (at: { url: string }, more: object = {}, signal?: AbortSignal): Promise<Response> =>
    t.call('POST', '/api/v1/llms/desk/infer', {
      at,
      body: { ...body, ...more },
      ...(signal ? { signal } : {}),
    });
  const posts = (): number => backend.requests.filter(({ method }) => method === 'POST').length;
  /** The edge that holds the worker's stream, and the other one. */
  const places = async (): Promise<{ holder: EdgeProcess; other: EdgeProcess }> => {
    const holder = await until(
      async () => balancer.holder(STREAM)?.url,
      (url) => url !== undefined,
      BACK_MS * TIMES,
    );
    const find = (holds: boolean) => balancer.targets.find(({ url }) => (url === holder) === holds);
    return { holder: find(true) ?? expect.fail(), other: find(false) ?? expect.fail() };
  };
  /** A stream at this edge whose first word was read. */
  const openStream = async (at: { url: string }) => {
    const calling = infer(at, { stream: true });
    backend.release();
    const answer = await calling;
    const events = sseData(answer);
    expect(await nextText(events)).to.equal(words[0]);
    return { events, taskId: answer.headers.get('x-mcpctl-task-id') ?? '' };
  };
  const rest = async (events: AsyncGenerator<string, void, undefined>): Promise<string[]> => {
    const words: string[] = [];
    for (let word = await nextText(events); word !== undefined; word = await nextText(events))
      words.push(word);
    return words;
  };
  const kept = async (taskId: string): Promise<void> => {
    const task = await until(
      () => t.task(taskId),
      ({ status }) => status === 'completed',
    );
    expect(task).to.include({ crashes: 0, attempts: 0 });
    expect(task.attemptLog).to.have.length(1);
  };
  /** What was killed; it is started again after the test, as a platform does. */
  let killed: EdgeProcess | undefined;
  const kill = async (edge: EdgeProcess, signal: NodeJS.Signals): Promise<number | null> => {
    killed = edge;
    return await edge.kill(signal);
  };

  before(async () => {
    postgres = await wireToUrl(databaseUrl);
    t = await startSystem(
      { MCPCTL_SHUTDOWN_GRACE_MS: '8000' },
      { transport: 'sse', edge: { DATABASE_URL: postgres.url(databaseUrl) } },
    );
    backend = await startBackend();
    balancer = await startBalancer([t.edge, await t.startEdge()]);
    wire = await wireTo({ host: '127.0.0.1', port: Number(new URL(balancer.url).port) });
    worker = await t.startWorker(offers(), { url: wire.url(balancer.url) });
    rowId = (await t.llm('desk')).id;
    session = (await readFile(join(worker.home, 'provider-session'), 'utf8')).trim();
  });
  beforeEach(() => backend.reply(chats(words, { paced: true })));
  afterEach(async () => {
    balancer.only();
    if (killed) balancer.remove(killed);
    if (killed) balancer.add(await t.startEdge());
    killed = undefined;
    backend.reply(chats(['fine']));
    await until(
      async () => await (await infer({ url: balancer.url })).text(),
      (text) => text.includes('fine'),
      BACK_MS * TIMES,
    );
    await until(
      () => t.openTasks(),
      (open) => open === 0,
    );
    expect(await t.llm('desk')).to.include({ id: rowId, status: 'active' });
    expect(await t.registry.llms.byName('desk')).to.include({ providerSessionId: session });
  });
  after(async () => {
    await t.close();
    await Promise.all([balancer.close(), wire.close(), postgres.close(), backend.close()]);
  });

  it('whose edge is SIGKILLed in the middle of an answer is back on another, and nothing is missing', async function () {
    const { holder, other } = await places();
    const { events, taskId } = await openStream(other);
    const whole = infer(other);
    await until(
      async () => posts(),
      (n) => n >= 2,
    );
    const asked = posts();
    const from = performance.now();
    await kill(holder, 'SIGKILL');
    backend.release(3); // while no edge hears the worker; one of them may be the whole answer's
    expect(await nextText(events)).to.equal(words[1]);
    note(this, [performance.now() - from]);
    await until(
      async () => balancer.holder(STREAM)?.url,
      (url) => url === other.url,
      BACK_MS * TIMES,
    );
    expect(
      await t.call('GET', '/api/v1/llms/desk', { at: other }).then((answer) => answer.json()),
    ).to.include({
      id: rowId,
      status: 'active',
    });
    backend.release(words.length - 3);
    expect(await rest(events)).to.deep.equal(words.slice(2));
    expect((await whole).status).to.equal(200);
    await Promise.all([kept(taskId), kept((await whole).headers.get('x-mcpctl-task-id') ?? '')]);
    expect(posts()).to.equal(asked);
  });

  it('whose edge is rolled leaves it for another first, and drops nothing under load', async function () {
    backend.reply(chats(['a', 'b', 'c'], { intervalMs: 20 }));
    const { holder, other } = await places();
    const over = new AbortController();
    const before = posts();
    const ends: string[] = [];
    const one = async (at: { url: string }, stream: boolean): Promise<void> => {
      const answer = await infer(at, { stream });
      const refusal = answer.status === 200 ? '' : await answer.text();
      if (refusal) expect(refusal, 'only the edge that leaves refuses').to.include('shutting_down');
      else if (stream) ends.push((await rest(sseData(answer))).join(''));
      else ends.push(contentOf(await answer.json()));
    };
    const load = [other, other, other, balancer, balancer, balancer].map(async (at, n) => {
      while (!over.signal.aborted) await one(at, n % 2 === 0);
    });
    await until(
      async () => ends.length,
      (n) => n > 20,
      30_000,
    );
    const gaps = balancer.gaps(STREAM);
    expect(await kill(holder, 'SIGTERM')).to.equal(0);
    const after = ends.length;
    await until(
      async () => ends.length,
      (n) => n > after + 20,
      30_000,
    );
    over.abort();
    await Promise.all(load);
    expect(balancer.gaps(STREAM)).to.equal(gaps);
    expect(new Set(ends)).to.deep.equal(new Set(['abc']));
    expect(posts() - before, 'each ran once').to.equal(ends.length);
  });

  it('sends its answers through whichever edge the balancer gives it', async () => {
    backend.reply(chats(words, { intervalMs: 50 }));
    const { holder, other } = await places();
    const before = balancer.asked(other, '_provider-task');
    balancer.only(other);
    const answers = await Promise.all(Array.from({ length: 8 }, () => infer(holder, { stream: true })));
    for (const answer of answers) {
      if (answer.status !== 200) expect.fail(await answer.text());
      expect(await rest(sseData(answer))).to.deep.equal(words);
      await kept(answer.headers.get('x-mcpctl-task-id') ?? '');
    }
    expect(balancer.asked(other, '_provider-task') - before).to.be.at.least(4);
    expect(balancer.holder(STREAM)?.url).to.equal(holder.url);
  });

  it('whose connections are reset keeps its tasks, and its callers see a whole stream', async function () {
    const { other } = await places();
    const spans: number[] = [];
    const { events, taskId } = await openStream(other);
    for (const word of words.slice(1, 4)) {
      const from = performance.now();
      wire.reset();
      backend.release();
      expect(await nextText(events)).to.equal(word);
      spans.push(performance.now() - from);
      await places();
    }
    note(this, spans);
    expect(wire.struck().resets).to.be.at.least(3);
    backend.release(words.length - 4);
    expect(await rest(events)).to.deep.equal(words.slice(4));
    await kept(taskId);
  });

  it('closes its backend’s socket when a caller of the other edge leaves', async function () {
    backend.reply(hangs());
    const { other } = await places();
    const spans: number[] = [];
    for (let n = 0; n < 5; n++) {
      const asked = posts();
      const leaves = new AbortController();
      const calling = infer(other, { stream: n % 2 === 0 }, leaves.signal);
      calling.catch(() => undefined); // it leaves
      await until(
        async () => posts(),
        (now) => now > asked,
      );
      const from = performance.now();
      leaves.abort();
      let closedAt = 0; // of an earlier test's call, as long as it is before
      while (closedAt < from) closedAt = (await backend.next('closed', CLOSED_MS * TIMES)).closedAt ?? 0;
      spans.push(closedAt - from);
    }
    note(this, spans);
    expect(Math.max(...spans)).to.be.below(CLOSED_MS * TIMES);
  });

  it('goes on with its answer while no edge has a way to Postgres', async () => {
    const { other } = await places();
    const { events, taskId } = await openStream(other);
    postgres.cut();
    backend.release(2);
    expect(await nextText(events)).to.equal(words[1]);
    expect(await nextText(events)).to.equal(words[2]);
    postgres.mend();
    backend.release(words.length - 3);
    expect(await rest(events)).to.deep.equal(words.slice(3));
    await kept(taskId);
    expect(postgres.struck().resets).to.be.above(0);
  });

  describe('while Redis is so young that its silence proves nothing', () => {
    const statusesOf = async (): Promise<string[]> =>
      await Promise.all(
        balancer.targets.map(async (at) => {
          const answer = await t.call('GET', '/api/v1/llms/desk', { at });
          return ((await answer.json()) as { status: string }).status;
        }),
      );
    /** One call at each edge. */
    const codes = async (): Promise<number[]> =>
      await Promise.all(balancer.targets.map(async (at) => (await infer(at)).status));
    const redis = new Redis(process.env['REDIS_URL'] ?? '', { lazyConnect: true });
    before(async () => {
      await redis.set(createKeys(t.sandbox.namespace).epoch, await redisNow(redis));
    });
    after(async () => {
      await redis.set(createKeys(t.sandbox.namespace).epoch, '1');
      await redis.quit();
    });

    it('that was paused takes nothing at any edge, and something as soon as it is resumed', async () => {
      backend.reply(chats(['fine']));
      const socket = join(worker.home, 'worker.sock');
      expect(await codes()).to.deep.equal([200, 200]);
      await askWorker(socket, 'pause');
      expect(await codes()).to.deep.equal([503, 503]);
      expect(await codes()).to.deep.equal([503, 503]);
      await askWorker(socket, 'resume');
      // The edge that has its stream announces it a moment after the worker is answered; no longer, whoever asks where.
      await until(codes, (all) => all.every((code) => code === 200), BACK_MS);
    });

    it('that was SIGKILLed is inactive at once at every edge, and a call waits a second for it', async () => {
      backend.reply(chats(['fine']));
      const died = worker.kill('SIGKILL');
      await until(statusesOf, (statuses) => statuses.every((status) => status === 'inactive'), 3_000);
      expect(await codes()).to.deep.equal([503, 503]);
      expect(await t.registry.llms.byName('desk')).to.include({ inactiveReason: 'publisher_gone' });
      await died;
      worker = await t.startWorker(offers(), { url: wire.url(balancer.url), home: worker.home });
      expect(await codes()).to.deep.equal([200, 200]);
    });
  });

  it('that was SIGKILLed and started again has its rows and their ids', async function () {
    await worker.kill('SIGKILL');
    const from = performance.now();
    worker = await t.startWorker(offers(), { url: wire.url(balancer.url), home: worker.home });
    note(this, [performance.now() - from]);
  });
});
