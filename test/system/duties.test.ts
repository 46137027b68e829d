import { expect } from 'chai';
import { chats, hangs, startBackend, type Backend } from '../support/backend.ts';
import { loseRedis } from '../support/lose-redis.ts';
import { nextText, sseData } from '../support/sse.ts';
import { startSystem, until, type System, type WorkerProcess } from '../support/system.ts';

const body = { messages: [{ role: 'user', content: 'hi' }] };

describe('the scheduler’s duties', function () {
  this.timeout(90_000);
  let t: System;
  const submit = async (llm: string): Promise<string> => {
    const answer = await t.call('POST', '/api/v1/tasks', { body: { llm, request: body } });
    expect(answer.status).to.equal(202);
    return ((await answer.json()) as { id: string }).id;
  };
  const ended = (id: string) =>
    until(
      () => t.task(id),
      (task) => ['completed', 'error', 'cancelled'].includes(task.status),
      40_000,
    );

  before(async () => {
    t = await startSystem({
      MCPCTL_LEASE_MS: '3000',
      MCPCTL_HEARTBEAT_MS: '1000',
      MCPCTL_SWEEP_MS: '300',
      MCPCTL_GONE_MS: '4000',
      MCPCTL_QUEUE_ASYNC_MS: '15000',
    });
  });
  after(() => t.close());

  it('sweeps a publisher whose lease has lapsed, and deletes its rows when it has been gone for long', async () => {
    const worker = await t.startWorker([{ name: 'leaver', backend: t.backend }]);
    await worker.kill('SIGKILL');
    const row = () => t.registry.llms.byName('leaver');
    // Shown at once when the lease is over, written by the sweep, deleted after that.
    const gone = await until(row, (llm) => llm?.status !== 'active', 20_000);
    expect(gone).to.include({ status: 'inactive', inactiveReason: 'publisher_gone' });
    await until(row, (llm) => llm === undefined, 20_000);
    expect((await t.call('GET', '/api/v1/llms/leaver')).status).to.equal(404);
  });

  it('keeps a worker active that is silent to callers but beats', async () => {
    const worker = await t.startWorker([{ name: 'quiet', backend: t.backend }]);
    await t.scheduler
      .next((line) => line.event === 'duty.finished' || line.event !== undefined)
      .catch(() => undefined);
    const since = performance.now();
    await until(
      async () => {
        expect((await t.llm('quiet')).status).to.equal('active');
        return performance.now() - since;
      },
      (ms) => ms > 5_000,
    );
    await worker.kill('SIGTERM');
  });

  it('ends every accepted task after Redis was wiped, and nobody looks offline', async () => {
    const own = await startBackend();
    own.reply(chats(['kept'], { paced: true }));
    const worker = await t.startWorker([{ name: 'kept', maxConcurrency: 2, backend: own }]);
    const ids: string[] = [];
    for (let n = 0; n < 6; n++) ids.push(await submit('kept'));
    await own.next('request');
    await own.next('request');
    await loseRedis(t.sandbox);
    expect((await t.llm('kept')).status).to.equal('active');
    own.reply(chats(['kept']));
    own.release(Infinity);
    for (const id of ids) expect((await ended(id)).status).to.equal('completed');
    expect((await t.llm('kept')).status).to.equal('active');
    await worker.kill('SIGTERM');
    await own.close();
  });

  it('expires an async task that nobody takes, and says so', async () => {
    const worker = await t.startWorker([{ name: 'nobody', backend: t.backend }]);
    await worker.kill('SIGTERM');
    const task = await ended(await submit('nobody'));
    expect(task.status).to.equal('error');
    // The row of its publisher is deleted meanwhile, or its time is over: either way it ends.
    expect(task.error?.code).to.be.oneOf(['queue_timeout', 'no_active_llm']);
  });

  it('settles what an edge could not: its caller had left, and it was killed', async () => {
    const own = await startBackend();
    own.reply(chats(['late'], { paced: true }));
    const worker = await t.startWorker([{ name: 'orphan', backend: own }]);
    const calling = t.call('POST', '/api/v1/llms/orphan/infer', { body });
    calling.catch(() => undefined); // its edge is killed
    await own.next('request');
    const port = Number(new URL(t.url).port);
    await t.edge.kill('SIGKILL');
    own.release(Infinity);
    await until(
      () => t.openTasks(),
      (open) => open === 0,
      20_000,
    );
    await t.startEdge(port);
    const list = (await (await t.call('GET', '/api/v1/tasks?llm=orphan')).json()) as {
      items: { status: string }[];
    };
    expect(list.items.map((task) => task.status)).to.deep.equal(['completed']);
    await worker.kill('SIGTERM');
    await own.close();
  });
});

describe('a worker that is stopped', function () {
  this.timeout(60_000);
  let t: System;
  let own: Backend;
  before(async () => {
    t = await startSystem({ MCPCTL_SHUTDOWN_GRACE_MS: '4000' });
    own = await startBackend();
  });
  after(async () => {
    await t.close();
    await own.close();
  });
  const workers: WorkerProcess[] = [];

  it('finishes what it streams, within the grace', async () => {
    own.reply(chats(['one', 'two'], { paced: true }));
    const worker = await t.startWorker([{ name: 'a', poolName: 'house', backend: own }]);
    const calling = t.call('POST', '/api/v1/llms/house/infer', { body: { ...body, stream: true } });
    own.release();
    const events = sseData(await calling);
    expect(await nextText(events)).to.equal('one');
    const leaving = worker.kill('SIGTERM');
    own.release();
    expect(await nextText(events)).to.equal('two');
    expect(await nextText(events)).to.equal(undefined);
    expect(await leaving).to.equal(0);
  });

  it('hands back what nobody has seen yet: a sibling finishes it, and it counts as no attempt', async () => {
    own.reply(hangs());
    const first = await t.startWorker([{ name: 'a', poolName: 'house', backend: own }]);
    const before = own.requests.length;
    const calling = t.call('POST', '/api/v1/llms/house/infer', { body });
    await until(
      async () => own.requests.length,
      (n) => n > before,
    );
    const second = await startBackend();
    second.reply(chats(['from the sibling']));
    workers.push(await t.startWorker([{ name: 'b', poolName: 'house', backend: second }]));
    expect(await first.kill('SIGTERM')).to.equal(0);
    const answer = await calling;
    expect(await answer.json()).to.have.nested.property('choices[0].message.content', 'from the sibling');
    const task = await t.task(answer.headers.get('x-mcpctl-task-id') ?? '');
    expect(task).to.include({ claimedLlm: 'b', attempts: 0, crashes: 0 });
    await second.close();
  });
});

describe('a task that nobody waits for', function () {
  this.timeout(60_000);
  let t: System;
  let own: Backend;
  before(async () => {
    t = await startSystem({ MCPCTL_SHUTDOWN_GRACE_MS: '4000' });
    own = await startBackend();
  });
  after(async () => {
    await t.close();
    await own.close();
  });

  it('is listed as what it is just now, and goes to a sibling when its worker is stopped', async () => {
    own.reply(hangs());
    const first = await t.startWorker([{ name: 'a', poolName: 'house', maxConcurrency: 1, backend: own }]);
    const ids: string[] = [];
    for (let n = 0; n < 2; n++) {
      const answer = await t.call('POST', '/api/v1/tasks', { body: { llm: 'house', request: body } });
      ids.push(((await answer.json()) as { id: string }).id);
    }
    await own.next('request');
    const listed = async (status: string): Promise<string[]> => {
      const answer = await t.call('GET', `/api/v1/tasks?status=${status}&limit=1`);
      return ((await answer.json()) as { items: { id: string }[] }).items.map((task) => task.id);
    };
    expect(await listed('claimed')).to.deep.equal([ids[0]]);
    expect(await listed('pending')).to.deep.equal([ids[1]]);
    expect(await listed('running')).to.deep.equal([]);
    const second = await startBackend();
    await t.startWorker([{ name: 'b', poolName: 'house', backend: second }]);
    expect(await first.kill('SIGKILL')).to.equal(null);
    for (const id of ids) {
      const task = await until(
        () => t.task(id),
        (now) => now.status === 'completed',
        30_000,
      );
      expect(task.claimedLlm).to.equal('b');
    }
    await second.close();
  });

  it('is requeued by the scheduler when it is handed back', async () => {
    own.reply(hangs());
    const before = own.requests.length;
    const first = await t.startWorker([{ name: 'c', poolName: 'flat', backend: own }]);
    const answer = await t.call('POST', '/api/v1/tasks', { body: { llm: 'flat', request: body } });
    const { id } = (await answer.json()) as { id: string };
    await until(
      async () => own.requests.length,
      (n) => n > before,
    );
    const second = await startBackend();
    await t.startWorker([{ name: 'd', poolName: 'flat', backend: second }]);
    const handedBack = t.scheduler.event('task.requeued', (line) => line['taskId'] === id);
    first.child.kill('SIGTERM');
    await first.event('claim.finished', (line) => line['outcome'] === 'handed back');
    await handedBack;
    const task = await until(
      () => t.task(id),
      (now) => now.status === 'completed',
    );
    expect(task).to.include({ claimedLlm: 'd', attempts: 0, crashes: 0 });
    await second.close();
  });
});
