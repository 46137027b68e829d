import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { ThreadView, TurnView } from '../../core/agent/thread.ts';
import { fixture } from '../mcp/supervise.ts';
import { chats, type Backend, startBackend } from '../support/backend.ts';
import { measured, note } from '../support/measured.ts';
import { nextText, sseData } from '../support/sse.ts';
import { startSystem, until, type System } from '../support/system.ts';
import { wireToUrl, type Wire } from '../support/wire.ts';

const body = { messages: [{ role: 'user', content: 'hi' }] };
const databaseUrl = process.env['DATABASE_URL'] ?? '';
/** What is promised; a test on a busy machine allows ten times as much. */
const SUBMIT_MS = 2_500;
const SETTLE_WAIT_MS = 2_000;
const TIMES = 10;
/** For so long a thread is busy at most, once Postgres is back, with what had ended before and what waited behind that. */
const BUSY_MS = 15_000;
/** `MCPCTL_ROUNDS=20`: it is away for so many seconds, while turns are to be settled. */
const AWAY_MS = Number(process.env['MCPCTL_ROUNDS'] ?? 0) * 1_000;

interface LastFrame {
  error?: { code?: string; taskId?: string };
}

/** Edge and scheduler have their Postgres behind one wire; workers need none. */
describe('while Postgres is away', function () {
  this.timeout(90_000);
  let t: System;
  let wire: Wire;
  let own: Backend;
  let folder: string;
  /** A line for each call that its server was given. */
  let counter: string;
  const infer = (more: object = {}, headers = {}): Promise<Response> =>
    t.call('POST', '/api/v1/llms/desk/infer', { body: { ...body, ...more }, headers });
  const served = (): Promise<Response> =>
    until(
      () => infer(),
      (answer) => answer.status === 200,
      20_000,
    );
  const settled = (id: string) =>
    until(
      () => t.registry.tasks.byId(id),
      (row) => row?.status === 'completed',
      20_000,
    );
  const turnBegun = async (path: string, message: string): Promise<TurnView> => {
    const how = { body: { message }, headers: { prefer: 'respond-async' } };
    const begun = await t.call('POST', `/api/v1/${path}`, how);
    expect(begun.status).to.equal(202);
    return (await begun.json()) as TurnView;
  };
  const read = async (path: string): Promise<unknown> =>
    (await t.call('GET', `/api/v1/threads/${path}`)).json();
  /** Its edge says so, which may have no Postgres yet. */
  const free = (id: string): Promise<unknown> =>
    until(
      async () => (await read(id)) as Partial<ThreadView>,
      ({ openTurn }) => openTurn === null,
      BUSY_MS,
    );
  const taskOf = async ({ threadId, turn }: TurnView): Promise<string> =>
    ((await read(`${threadId}/turns/${String(turn)}`)) as TurnView).taskId ?? '';
  const answersIn = async (id: string): Promise<string[]> => {
    const { items } = (await read(`${id}/messages`)) as {
      items: { role: string; status: string; content: string }[];
    };
    return items.flatMap(({ role, status, content }) =>
      role === 'assistant' ? [`${status} ${content}`] : [],
    );
  };
  /** How often its end was told of, by whoever wrote it down. */
  const endsOf = async (id: string): Promise<number> =>
    until(
      async () =>
        [t.edge, t.scheduler]
          .flatMap(({ lines }) => lines)
          .filter((line) => line.event === 'task.settled' && line['taskId'] === id).length,
      (n) => n > 0,
    );
  const taskIdOf = (answer: Response): string => answer.headers.get('x-mcpctl-task-id') ?? '';
  const spanOf = async (work: () => Promise<unknown>): Promise<number> => {
    const from = performance.now();
    await work();
    return performance.now() - from;
  };

  before(async () => {
    wire = await wireToUrl(databaseUrl);
    t = await startSystem({
      DATABASE_URL: wire.url(databaseUrl),
      MCPCTL_SETTLE_WAIT_MS: String(SETTLE_WAIT_MS),
    });
    own = await startBackend();
    folder = mkdtempSync(join(tmpdir(), 'mcp-'));
    counter = join(folder, 'counter');
    writeFileSync(counter, '');
    const mcpServers = [
      { name: 'files', command: process.execPath, args: [fixture, '--counter', counter], slots: 2 },
    ];
    await t.startWorker(
      [
        { name: 'desk', backend: t.backend },
        { name: 'paced', backend: own },
      ],
      { mcpServers },
    );
    await until(
      async () => (await t.call('GET', '/api/v1/servers/files')).status,
      (status) => status === 200,
    );
    const project = { name: 'demo', servers: [{ server: 'files' }] };
    expect((await t.call('POST', '/api/v1/projects', { body: project })).status).to.equal(201);
    for (const [name, llm] of [
      ['talker', 'paced'],
      ['sitter', 'desk'],
    ])
      expect((await t.call('POST', '/api/v1/agents', { body: { name, llm } })).status).to.equal(201);
  });
  beforeEach(async () => {
    own.forget();
    t.backend.forget();
    t.backend.reply(chats(['fine']));
    await served();
  });
  afterEach(() => wire.mend());
  after(async () => {
    await t.close();
    await own.close();
    await wire.close();
    rmSync(folder, { recursive: true });
  });
  const callTool = (label: string): Promise<Response> =>
    t.call('POST', '/mcp/projects/demo', {
      body: {
        ...{ jsonrpc: '2.0', id: 1, method: 'tools/call' },
        params: { name: 'files__count', arguments: { label } },
      },
    });
  const ran = (label: string): number =>
    readFileSync(counter, 'utf8')
      .split('\n')
      .filter((line) => line === label).length;

  for (const [how, take] of [
    ['down', () => wire.cut()],
    ['half-open', () => wire.blackhole()],
  ] as const) {
    it(`(${how}) every submit is told so in time, however many ask`, async function () {
      take();
      const ways = [
        () => infer(),
        () => infer({ stream: true }),
        () => infer({}, { prefer: 'respond-async' }),
        () => t.call('POST', '/api/v1/tasks', { body: { llm: 'desk', request: body } }),
        () => t.call('POST', '/v1/chat/completions', { body: { ...body, model: 'desk' } }),
      ];
      const spans = await Promise.all(
        Array.from({ length: 40 }, async (_, i) => {
          let answer: Response | undefined;
          const ms = await spanOf(async () => (answer = await ways[i % ways.length]?.()));
          expect(answer?.status).to.equal(503);
          expect(answer?.headers.get('retry-after')).to.match(/^\d+$/);
          return ms;
        }),
      );
      note(this, spans);
      expect(Math.max(...spans)).to.be.below(SUBMIT_MS * TIMES);
    });

    it(`(${how}) calls of tools are told so in time and given to nobody, and are made again without a restart`, async function () {
      take();
      const spans = await Promise.all(
        Array.from({ length: 8 }, async () => {
          let answer: Response | undefined;
          const ms = await spanOf(async () => (answer = await callTool(how)));
          expect(answer?.status).to.equal(503);
          return ms;
        }),
      );
      note(this, spans);
      expect(Math.max(...spans)).to.be.below(SUBMIT_MS * TIMES);
      wire.mend();
      const back = `${how}-back`;
      const answer = await until(
        () => callTool(back),
        ({ status }) => status === 200,
        20_000,
      );
      expect(await answer.text()).to.include('counted');
      expect([how, back].map(ran)).to.deep.equal([0, 1]);
    });

    it(`(${how}) streams flow; the last frame waits, then says settle_pending; turns end once, and their threads are free`, async function () {
      own.reply(chats(['one', 'two', 'three'], { paced: true }));
      const params = { stream_options: { include_usage: true } };
      const calling = t.call('POST', '/api/v1/agents/talker/chat', {
        body: { message: 'hi', stream: true, params },
      });
      own.release();
      const answer = await calling;
      const events = sseData(answer);
      expect(await nextText(events)).to.equal('one');
      const threadId = answer.headers.get('x-mcpctl-thread-id') ?? '';
      // One that waits in line behind it, and one that nobody waits for.
      const behind = await turnBegun(`threads/${threadId}/turns`, 'behind');
      expect(behind).to.include({ status: 'queued' });
      t.backend.reply(chats(['alone'], { paced: true }));
      const alone = await turnBegun('agents/sitter/chat', `alone ${how}`);
      await until(
        async () => t.backend.requests,
        (all) => all.some(({ body }) => body.includes(`alone ${how}`)),
      );
      take();
      const from = performance.now();
      own.release();
      expect(await nextText(events)).to.equal('two');
      own.release();
      expect(await nextText(events)).to.equal('three');
      t.backend.release();
      const frames: string[] = [];
      const waited = await spanOf(async () => {
        for await (const frame of events) frames.push(frame);
      });
      const last = JSON.parse(frames.at(-1) ?? '{}') as LastFrame;
      expect(last.error).to.include({ code: 'settle_pending', taskId: taskIdOf(answer) });
      expect(frames).to.not.include('[DONE]');
      expect(waited).to.be.below(SETTLE_WAIT_MS * TIMES);
      note(this, [waited]);
      own.reply(chats(['four']));
      if (AWAY_MS > 0)
        await until(
          async () => expect((await infer()).status).to.equal(503),
          () => performance.now() - from >= AWAY_MS,
          AWAY_MS,
        );
      wire.mend();
      await measured(this, () => Promise.all([threadId, alone.threadId].map(free)));
      const ids = [taskIdOf(answer), await taskOf(behind), await taskOf(alone)];
      const rows = await Promise.all(ids.map((id) => t.registry.tasks.byId(id)));
      for (const row of rows) expect(row).to.include({ status: 'completed', finishReason: 'stop' });
      expect(rows[0]?.usage).to.include({ totalTokens: 6 });
      // So is what was said in its thread, with the row.
      expect(await answersIn(threadId)).to.deep.equal(['complete onetwothree', 'complete four']);
      expect(await answersIn(alone.threadId)).to.deep.equal(['complete alone']);
      for (const id of ids) expect(await endsOf(id), id).to.equal(1);
    });

    it(`(${how}) a whole answer is 503 settle_pending; the settle follows`, async function () {
      own.reply(chats(['whole'], { paced: true }));
      const posts = (): number => own.requests.filter(({ method }) => method === 'POST').length;
      const asked = posts();
      const calling = t.call('POST', '/api/v1/llms/paced/infer', { body });
      await until(
        async () => posts(), // its probes are none of this call
        (n) => n > asked,
      );
      take();
      own.release();
      const answer = await measured(this, () => calling);
      expect(answer.status).to.equal(503);
      expect(await answer.json()).to.include({ code: 'settle_pending', taskId: taskIdOf(answer) });
      wire.mend();
      await measured(this, () => settled(taskIdOf(answer)));
      const task = await until(
        () => t.task(taskIdOf(answer)),
        (view) => view.status === 'completed',
      );
      expect(JSON.stringify(task)).to.include('whole');
    });

    it(`(${how}) a caller who leaves stops the backend all the same; the row follows`, async () => {
      own.reply(chats(['one', 'two'], { paced: true }));
      const leaving = new AbortController();
      const calling = t.call('POST', '/api/v1/llms/paced/infer', {
        body: { ...body, stream: true },
        signal: leaving.signal,
      });
      own.release();
      const answer = await calling;
      expect(await nextText(sseData(answer))).to.equal('one');
      take();
      leaving.abort();
      await own.next('closed');
      wire.mend();
      await until(
        () => t.registry.tasks.byId(taskIdOf(answer)),
        (row) => row?.status === 'cancelled',
        20_000,
      );
    });
  }

  it('for a moment (all its sessions are terminated) nobody is told, and a stream ends well', async () => {
    own.reply(chats(['one', 'two'], { paced: true }));
    const calling = t.call('POST', '/api/v1/llms/paced/infer', { body: { ...body, stream: true } });
    own.release();
    const events = sseData(await calling);
    expect(await nextText(events)).to.equal('one');
    await Promise.all(Array.from({ length: 20 }, () => infer()));
    const ports = wire.ports();
    expect(ports.length).to.be.above(5);
    const { db } = t.sandbox.connection;
    await db.raw('select pg_terminate_backend(pid) from pg_stat_activity where client_port = any(?)', [
      ports,
    ]);
    // Each ends when it gets to run: until then it takes one more statement, and ends instead of doing it.
    await until(
      async () => Number((await db('pg_stat_activity').whereIn('client_port', ports).count())[0]?.['count']),
      (left) => left === 0,
    );
    const statuses: number[] = [];
    for (let n = 0; n < 10; n++) statuses.push((await infer()).status);
    expect(statuses.filter((status) => status !== 200).length).to.be.at.most(1);
    own.release();
    expect(await nextText(events)).to.equal('two');
    const rest: string[] = [];
    for await (const frame of events) rest.push(frame);
    expect(rest.at(-1)).to.equal('[DONE]');
  });

  it('for less than the last frame waits, a stream ends well', async () => {
    own.reply(chats(['one', 'two'], { paced: true }));
    const calling = t.call('POST', '/api/v1/llms/paced/infer', { body: { ...body, stream: true } });
    own.release();
    const events = sseData(await calling);
    expect(await nextText(events)).to.equal('one');
    wire.cut();
    const { resets } = wire.struck();
    own.release();
    expect(await nextText(events)).to.equal('two');
    // Somebody has tried to reach it meanwhile; to ask the edge whether it can takes longer than a frame waits, at times.
    await until(
      async () => wire.struck().resets,
      (n) => n > resets,
    );
    wire.mend();
    const rest: string[] = [];
    for await (const frame of events) rest.push(frame);
    expect(rest.at(-1)).to.equal('[DONE]');
  });

  it('half-open, an edge and a scheduler that are stopped leave within their grace', async function () {
    wire.blackhole();
    const [edge, scheduler] = await measured(this, () =>
      Promise.all([t.edge.kill('SIGTERM'), t.scheduler.kill('SIGTERM')]),
    );
    expect([edge, scheduler]).to.deep.equal([0, 0]);
  });
});
