import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { expect } from 'chai';
import { loseRedis } from '../support/lose-redis.ts';
import { note } from '../support/measured.ts';
import { until, type System, type WorkerProcess } from '../support/system.ts';
import { eventsIn, hello, isProgress, isProgressOf, streams, type StreamEvent } from './streamed.ts';

export interface Told {
  isError?: boolean;
  content: { type: string; text: string }[];
  _meta?: Record<string, unknown>;
}

interface Killed {
  system: () => System;
  worker: () => WorkerProcess;
  /** Begins a worker of the same home. */
  begin: () => Promise<void>;
  /** `it`, over one transport. */
  once: (title: string, test: Mocha.AsyncFunc) => void;
  connect: () => Promise<Client>;
  /** A tool of the server `desk`. */
  call: (client: Client, name: string, given?: Record<string, unknown>) => Promise<Told>;
  raw: (body: unknown, headers?: Record<string, string>) => Promise<Response>;
  /** How often its server was given the call of a label. */
  ran: (label: string) => number;
  /** One call of it is open. */
  open: () => Promise<number>;
  counter: string;
  /** A line for each start. */
  started: string;
  /** Without it, it waits in its handshake. */
  gate: string;
}

/** What becomes of calls whose worker, or edge, is killed. */
export function killed(of: Killed): void {
  const { system, worker, begin, once, connect, call, raw, ran, open, counter, started, gate } = of;

  it('says that nobody knows what became of a call whose worker died, and never runs it again', async function () {
    const t = system();
    const client = await connect();
    const params = { name: 'desk__count', arguments: { label: 'lost', ms: 60_000 } };
    const calling = raw({ jsonrpc: '2.0', id: 1, method: 'tools/call', params });
    await until(
      () => Promise.resolve(ran('lost')),
      (n) => n === 1,
    );
    await worker().kill('SIGKILL');
    const from = performance.now();
    const left = (): string[] =>
      execFileSync('ps', ['-eo', 'args='], { encoding: 'utf8' })
        .split('\n')
        .filter((line) => line.includes(counter) && !line.includes('ps -eo'));
    const gone = until(
      () => Promise.resolve(left()),
      (lines) => lines.length === 0,
    ).then(() => performance.now() - from);
    const answer = await calling;
    const answeredMs = performance.now() - from;
    note(this, [answeredMs]);
    expect(answeredMs).to.be.below(10_000);
    const { result } = (await answer.json()) as { result: Told };
    expect(result.isError).to.equal(true);
    expect(result._meta).to.deep.equal({ 'mcpctl.dev/code': 'outcome_unknown' });
    expect(await t.task(answer.headers.get('x-mcpctl-task-id') ?? '')).to.include({ status: 'error' });
    const goneMs = await gone;
    note(this, [goneMs]); // nothing of it is left
    expect(goneMs).to.be.below(2_000);
    await begin();
    expect((await call(client, 'echo', { message: 'back' })).content[0]?.text).to.equal('back');
    expect(ran('lost')).to.equal(1);
  });

  it('runs a call whose server was still starting when its worker died', async () => {
    const t = system();
    const client = await connect();
    const starts = (): number => readFileSync(started, 'utf8').trim().split('\n').length;
    const before = starts();
    rmSync(gate);
    const leaving = new AbortController();
    const ordered = t
      .call('POST', '/api/v1/servers/desk/restart', { signal: leaving.signal })
      .catch(() => null);
    await until(
      () => Promise.resolve(starts()),
      (n) => n === before + 1,
    );
    const calling = call(client, 'count', { label: 'waits' });
    await open();
    const row = (await t.registry.tasks.openOlderThan(0, { after: null, limit: 100 })).find(
      ({ poolName }) => poolName === 'mcp.desk',
    );
    await until(
      () => t.task(row?.id ?? ''),
      ({ status }) => status === 'claimed',
    );
    await worker().kill('SIGKILL');
    expect(ran('waits')).to.equal(0);
    writeFileSync(gate, '');
    await begin();
    expect((await calling).content[0]?.text).to.equal('counted');
    expect(ran('waits')).to.equal(1);
    leaving.abort(); // nobody answers an order to a worker that is gone
    await ordered;
  });

  once('goes on with a stream at another edge when its own was killed, and runs nothing twice', async () => {
    const t = system();
    const first = t.url;
    const lost = await t.startEdge();
    const begun = await raw({ jsonrpc: '2.0', id: 0, method: 'initialize', params: hello });
    const session = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' };
    const params = {
      name: 'desk__steps',
      arguments: { n: 10, ms: 150, label: 'resumed' },
      _meta: { progressToken: 'how-far' },
    };
    const answer = await raw(
      { jsonrpc: '2.0', id: 'long', method: 'tools/call', params },
      { ...session, ...streams },
    );
    const before = await eventsIn(answer, (events) => events.filter(isProgress).length === 3);
    await lost.kill('SIGKILL');
    const last = before.at(-1)?.id ?? '';
    const at = { url: first };
    const get = (headers: Record<string, string>) =>
      t.call('GET', '/mcp/projects/demo', { at, headers: { accept: 'text/event-stream', ...headers } });
    const after = await eventsIn(await get({ ...session, 'last-event-id': last }), () => false);
    const messages = [...before, ...after].map(({ data }) => data).filter((data) => data !== null);
    expect(messages.filter(isProgressOf).map(({ params: step }) => step)).to.deep.equal(
      Array.from({ length: 10 }, (_, n) => ({
        progressToken: 'how-far',
        progress: n + 1,
        total: 10,
        message: `step ${String(n + 1)}`,
      })),
    );
    expect(messages.at(-1)).to.deep.equal({
      jsonrpc: '2.0',
      id: 'long',
      result: { content: [{ type: 'text', text: 'done' }] },
    });
    expect(ran('resumed')).to.equal(1);
    const again = await eventsIn(await get({ ...session, 'last-event-id': last }), () => false);
    expect(again.at(-1)?.data, 'once it has ended').to.deep.equal(messages.at(-1));
    await expired(() => get({ ...session, 'last-event-id': last }), {
      taskId: answer.headers.get('x-mcpctl-task-id') ?? '',
      end: messages.at(-1),
    });
    // Ids that were never given out, or to another session, go on with nothing.
    const bent = last.replace(/.$/, (end) => (end === '0' ? '1' : '0'));
    expect((await get({ ...session, 'last-event-id': 'x' })).status).to.equal(400);
    expect((await get({ ...session, 'last-event-id': `9${bent}` })).status).to.equal(400);
    expect((await get({ 'last-event-id': last })).status, 'without its session').to.equal(400);
    // Without a session, too, they are of the project that was called.
    const own = { name: 'own', servers: [{ server: 'desk' }] };
    expect((await t.call('POST', '/api/v1/projects', { at, body: own })).status).to.equal(201);
    const short = { ...params, arguments: { n: 2, ms: 150, label: 'alone' } };
    const alone = await t.call('POST', '/mcp/projects/demo', {
      ...{ at, body: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: short } },
      headers: { ...streams },
    });
    const step = (await eventsIn(alone, () => false)).find(isProgress)?.id ?? '';
    expect((await get({ 'last-event-id': step })).status).to.equal(200);
    const elsewhere = await t.call('GET', '/mcp/projects/own', {
      ...{ at, headers: { accept: 'text/event-stream', 'last-event-id': step } },
    });
    expect(elsewhere.status, 'at a project of their own').to.equal(400);
  });

  /** Of a call that has ended: its events go, then what it came to, then its row. */
  async function expired(
    get: () => Promise<Response>,
    { taskId, end }: { taskId: string; end: StreamEvent['data'] | undefined },
  ): Promise<void> {
    const { registry, sandbox } = system();
    await loseRedis(sandbox, `*${taskId}*`);
    const kept = await eventsIn(await get(), () => false);
    expect(kept.map(({ data }) => data).filter((data) => data !== null)).to.deep.equal([end]);
    const { ownerId = '' } = (await registry.tasks.byId(taskId)) ?? {};
    while ((await registry.tasks.forgetKept(ownerId, 0)) > 0);
    const [forgotten] = (await eventsIn(await get(), () => false)).slice(-1);
    expect(forgotten?.data)
      .to.have.nested.property('result._meta')
      .that.deep.equals({ 'mcpctl.dev/code': 'gone' });
    await registry.tasks.deleteEnded([taskId]);
    const gone = await get();
    expect([gone.status, ((await gone.json()) as { code?: string }).code]).to.deep.equal([410, 'gone']);
  }
}
