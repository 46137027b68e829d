import { expect } from 'chai';
import type { SessionView } from '../../core/member/session.ts';
import { chats, startBackend, type Backend } from '../support/backend.ts';
import { onEachTransport } from '../support/each-transport.ts';
import { note } from '../support/measured.ts';
import { startSystem, until, type System } from '../support/system.ts';

onEachTransport('a worker that the server holds', function (transport) {
  this.timeout(60_000);
  let s: System;
  before(async () => {
    s = await startSystem({}, { transport });
  });
  let backend: Backend | undefined;
  after(async () => {
    await s.close();
    await backend?.close();
  });

  const later = async (pool: string): Promise<string> => {
    const body = { llm: pool, request: { messages: [{ role: 'user', content: 'hi' }] } };
    return ((await (await s.call('POST', '/api/v1/tasks', { body })).json()) as { id: string }).id;
  };
  const workers = async (): Promise<SessionView[]> =>
    ((await (await s.call('GET', '/api/v1/sessions')).json()) as { items: SessionView[] }).items;
  const say = async (call: string, id: string): Promise<SessionView> =>
    (await (await s.call('POST', `/api/v1/sessions/${id}/${call}`)).json()) as SessionView;

  it('finishes what it runs, and takes nothing more, killed and started anew as well, until it is resumed', async () => {
    const offers = [{ name: 'held', maxConcurrency: 2, backend: s.backend }];
    const worker = await s.startWorker(offers);
    s.backend.reply(chats(['done'], { paced: true }));
    const running = await later('held');
    await s.backend.next('request');
    const [seen] = await workers();
    if (!seen) return expect.fail('no worker');
    expect(seen).to.include({ transport, state: 'live' });
    expect(seen.host).to.be.a('string');
    await say('drain', seen.id);
    const waiting = await later('held');
    s.backend.release();
    const ended = await until(
      () => s.task(running),
      ({ status }) => status === 'completed',
    );
    expect(ended.attempts).to.equal(0);
    await until(
      async () => (await workers())[0],
      (view) => view?.state === 'drained',
    );
    await worker.kill('SIGKILL');
    await s.startWorker(offers, { home: worker.home });
    await until(
      async () => (await workers())[0],
      (view) => view?.llms[0]?.state === 'draining' && view.state === 'drained',
    );
    expect((await s.task(waiting)).status).to.equal('pending');
    expect(await say('resume', seen.id)).to.include({ hold: null });
    s.backend.release();
    await until(
      () => s.task(waiting),
      ({ status }) => status === 'completed',
    );
  });

  it('stops within five seconds of its credential, which it joined with: its llm is inactive, and its backend is left', async function () {
    const post = async (path: string, body: object): Promise<Record<string, unknown>> =>
      (await (await s.call('POST', path, { body })).json()) as Record<string, unknown>;
    const { code } = await post('/api/v1/join-codes', { pools: ['joined'] });
    const { token } = await post('/api/v1/join', { code: String(code), machine: 'desk' });
    backend = await startBackend();
    backend.reply(chats(['one', 'two'], { paced: true }));
    const worker = await s.startWorker([{ name: 'joined', backend }], { token: String(token) });
    await later('joined');
    await backend.next('request');
    const mine = (await workers()).find(({ llms }) => llms[0]?.name === 'joined');
    const from = performance.now();
    expect((await s.call('DELETE', `/api/v1/sessions/${mine?.id ?? ''}`)).status).to.equal(204);
    const isOver = until(
      () => s.llm('joined'),
      ({ status, inactiveReason }) => status === 'inactive' && inactiveReason === 'denied',
    );
    const hears = worker.next((line) => (line.msg ?? '').includes('serves nothing until'));
    await Promise.all([isOver, backend.next('closed'), hears]);
    const tookMs = performance.now() - from;
    note(this, [tookMs]);
    expect(tookMs).to.be.below(5_000);
    expect((await s.call('GET', '/api/v1/llms', { token: String(token) })).status).to.equal(401);
  });
});
