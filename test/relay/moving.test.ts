import { expect } from 'chai';
import { sendControl } from '../../core/queue/live/control.ts';
import { readFences } from '../../core/queue/task/fence.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { until, untilBlocking } from '../support/system.ts';
import { submitTask } from '../support/tasks.ts';
import { secondEdge, type SecondEdge } from './second-edge.ts';
import { SseWorker } from './sse-worker.ts';

describe('a worker of the sse transport, and two edges', () => {
  let t: EdgeFixture;
  let second: SecondEdge;
  const workers: SseWorker[] = [];
  beforeEach(async () => {
    t = await edgeFixture();
    second = await secondEdge(t);
  });
  afterEach(async () => {
    for (const worker of workers.splice(0)) worker.kill();
    await second.close();
    await t.close();
  });

  const started = async (offers: object[], url = second.url, more: object = {}): Promise<SseWorker> => {
    const instance = 'instanceId' in more ? { instance: null } : {};
    const worker = new SseWorker({ url, token: t.tokens.ada, ...instance });
    workers.push(worker);
    await worker.register(offers as Record<string, unknown>[], more);
    return worker;
  };
  const fenceOf = async (taskId: string, poolKey: string) => {
    const { redis, keys } = t.deps.queue;
    return (await readFences(redis, keys, [{ taskId, poolKey }]))[0];
  };
  const statusOf = async (name: string): Promise<string> =>
    ((await t.call(`GET /api/v1/llms/${name}`)).json as { status: string }).status;

  it('moves when its edge stops: its task goes on, its rows stay, and its slot stays taken', async () => {
    const worker = await started([{ name: 'm', maxConcurrency: 1 }]);
    const old = await worker.open();
    const row = await submitTask(t, { poolKey: 'm' });
    const frame = await old.next('infer');
    const uplink = worker.uplink(frame).beating();
    second.stopping.abort();
    await old.until('moving', () => old.events.some((event) => event.name === 'moving'));
    expect(await worker.tryOpen()).to.deep.include({ status: 503 });
    worker.url = t.url;
    const stream = await worker.open({ 'x-mcpctl-running': `${frame.taskId}:${frame.claimId}` });
    await old.closed;
    expect(await statusOf('m')).to.equal('active');
    const waiting = await submitTask(t, { poolKey: 'm' });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(stream.frames).to.deep.equal([]);
    uplink.line({ end: { body: '{}' } });
    expect((await uplink.end()).json).to.deep.equal({ outcome: 'ended' });
    const next = await stream.next('infer');
    expect(next.taskId).to.equal(waiting.id);
    expect(await t.registry.tasks.byId(row.id)).to.include({ crashes: 0, attempts: 0 });
    await worker.serve(next, [], { body: '{}' });
  });

  it('is followed by what its edge knew, where it does not say what it runs itself', async () => {
    const worker = await started([{ name: 'h', maxConcurrency: 1 }]);
    const old = await worker.open();
    await submitTask(t, { poolKey: 'h' });
    const frame = await old.next('infer');
    const uplink = worker.uplink(frame).beating();
    worker.url = t.url;
    const stream = await worker.open({ 'x-mcpctl-running': '' });
    await old.closed;
    const waiting = await submitTask(t, { poolKey: 'h' });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(stream.frames).to.deep.equal([]);
    uplink.line({ end: { body: '{}' } });
    await uplink.end();
    expect((await stream.next('infer')).taskId).to.equal(waiting.id);
  });

  it('serves on where its rows were written down as lost for an older stream a moment ago', async () => {
    const worker = await started([{ name: 'g' }], t.url);
    const stream = await worker.open();
    const { session = '', instance: boot = '' } = worker;
    await t.registry.sessions.markGone([session]);
    expect(await statusOf('g')).to.equal('inactive');
    await sendControl(t.deps.queue, { session, boot, message: { kind: 'registered' } });
    await until(
      () => statusOf('g'),
      (status) => status === 'active',
    );
    const row = await submitTask(t, { poolKey: 'g' });
    const frame = await stream.next('infer');
    expect(frame.taskId).to.equal(row.id);
    await worker.serve(frame, [], { body: '{}' });
  });

  it('serves on where somebody else is just writing of its session as its rows are read', async () => {
    const worker = await started([{ name: 'h' }], t.url);
    const stream = await worker.open();
    const { session = '', instance: boot = '' } = worker;
    const { db } = t.connection;
    const writing = await db.transaction();
    await writing('sessions').where({ id: session }).forUpdate().select('id');
    await t.registry.sessions.markGone([session]);
    await sendControl(t.deps.queue, { session, boot, message: { kind: 'registered' } });
    await untilBlocking(writing);
    await writing.commit();
    const row = await submitTask(t, { poolKey: 'h' });
    const frame = await stream.next('infer');
    expect(frame.taskId).to.equal(row.id);
    await worker.serve(frame, [], { body: '{}' });
  });

  it('is told to stop what is not its own any more, or never was', async () => {
    const worker = await started([{ name: 's' }]);
    const other = await started([{ name: 'o' }]);
    const stream = await other.open();
    const row = await submitTask(t, { poolKey: 'o' });
    const theirs = await stream.next('infer');
    other.uplink(theirs).beating();
    const claims = [`${theirs.taskId}:${theirs.claimId}`, `${row.id}:made-up`];
    const own = await worker.open({ 'x-mcpctl-running': claims.join() });
    await own.until('two cancels', () => own.frames.length === 2);
    expect(own.frames.map((frame) => frame.kind)).to.deep.equal(['cancel', 'cancel']);
    expect(await fenceOf(row.id, 'o')).to.include({ state: 'open', claim: theirs.claimId });
    expect(stream.frames).to.have.length(1);
  });

  it('speaks through any edge, and is cancelled through the one that has its stream', async () => {
    const worker = await started([{ name: 'any' }]);
    const stream = await worker.open();
    const answer = t.call('POST /api/v1/llms/any/infer', {
      body: { messages: [{ role: 'user', content: 'x' }], stream: true },
    });
    const frame = await stream.next('infer');
    worker.url = t.url;
    const uplink = worker.uplink(frame).beating();
    uplink.line({ seq: 1, data: JSON.stringify({ choices: [{ index: 0, delta: { content: 'one' } }] }) });
    await until(
      () => fenceOf(frame.taskId, 'any'),
      (fence) => fence?.shown !== undefined && fence.shown !== '',
    );
    const at = performance.now();
    await t.call(`DELETE /api/v1/tasks/${frame.taskId}`);
    const { taskId, claimId } = await stream.next('cancel');
    expect(performance.now() - at).to.be.lessThan(1_000);
    expect([taskId, claimId]).to.deep.equal([frame.taskId, frame.claimId]);
    expect(await uplink.answer).to.deep.include({ status: 409 });
    expect((await answer).text).to.include('task_cancelled');
  });

  it('gets its slot back within seconds when nobody tells its edge that a claim has ended', async () => {
    const worker = await started([{ name: 'd', maxConcurrency: 1 }]);
    const stream = await worker.open();
    const row = await submitTask(t, { poolKey: 'd' });
    await stream.next('infer');
    const next = await submitTask(t, { poolKey: 'd' });
    const fence = await fenceOf(row.id, 'd');
    // As if the edge that heard the end had died before it said `done`.
    await t.deps.queue.dispatch.endFor({ taskId: row.id, poolKey: 'd' }, fence?.claim ?? '', {
      kind: 'completed',
      status: 200,
      body: '{}',
    });
    const at = performance.now();
    expect((await stream.next('infer')).taskId).to.equal(next.id);
    expect(performance.now() - at).to.be.lessThan(3_000);
  });

  it('is vouched for while its stream is open, when it is too old to beat, and loses its tasks with it', async () => {
    const worker = await started([{ name: 'old' }], second.url, {
      instanceId: undefined,
      workerVersion: undefined,
    });
    const stream = await worker.open();
    const row = await submitTask(t, { poolKey: 'old' });
    const frame = await stream.next('infer');
    const { run } = t.deps.queue.keys.pool('old');
    const scoreOf = async () => Number(await t.deps.queue.redis.zscore(run, row.id));
    const first = await scoreOf();
    await until(scoreOf, (score) => score > first + 1_500);
    // It says nothing of what it runs: the fences do.
    worker.url = t.url;
    const next = await worker.open();
    await stream.closed;
    const second_ = await scoreOf();
    await until(scoreOf, (score) => score > second_ + 1_000);
    expect(frame.taskId).to.equal(row.id);
    next.cut();
    await until(
      () => t.registry.tasks.byId(row.id),
      (row) => row?.crashes === 1,
    );
  });
});
