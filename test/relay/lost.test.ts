import { expect } from 'chai';
import { readFences } from '../../core/queue/task/fence.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';
import { submitTask } from '../support/tasks.ts';
import { SseWorker } from './sse-worker.ts';

describe('a worker of the sse transport that is lost', () => {
  let t: EdgeFixture;
  const workers: SseWorker[] = [];
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());
  afterEach(async () => {
    for (const worker of workers.splice(0)) {
      worker.kill();
      await worker.goodbye();
    }
  });

  const started = async (offers: object[], token = t.tokens.ada): Promise<SseWorker> => {
    const worker = new SseWorker({ url: t.url, token });
    workers.push(worker);
    await worker.register(offers as Record<string, unknown>[]);
    return worker;
  };
  const statusOf = async (name: string): Promise<string> =>
    ((await t.call(`GET /api/v1/llms/${name}`)).json as { status: string }).status;
  const rowOf = async (id: string) => (await t.registry.tasks.byId(id)) ?? expect.fail('no row');

  it('is inactive at once, and its task runs elsewhere within two seconds', async () => {
    const first = await started([{ name: 'l1', poolName: 'lost' }]);
    const stream = await first.open();
    const row = await submitTask(t, { poolKey: 'lost' });
    const frame = await stream.next('infer');
    first.uplink(frame).beating();
    const second = await started([{ name: 'l2', poolName: 'lost' }]);
    const other = await second.open();
    const killedAt = clock.elapsed();
    first.kill();
    await until(
      () => statusOf('l1'),
      (status) => status === 'inactive',
    );
    const again = await other.next('infer');
    expect(clock.elapsed() - killedAt).to.be.lessThan(2_000);
    expect(again.taskId).to.equal(row.id);
    expect(again.claimId).to.not.equal(frame.claimId);
    expect((await rowOf(row.id)).crashes).to.equal(1);
    expect((await second.serve(again, [], { body: '{}' })).status).to.equal(200);
  });

  it('keeps its tasks when its stream comes back within a second', async () => {
    const worker = await started([{ name: 'back', maxConcurrency: 1 }]);
    const stream = await worker.open();
    const row = await submitTask(t, { poolKey: 'back' });
    const frame = await stream.next('infer');
    const uplink = worker.uplink(frame).beating();
    stream.cut();
    await stream.closed;
    const next = await worker.open({ 'x-mcpctl-running': `${frame.taskId}:${frame.claimId}` });
    const waiting = await submitTask(t, { poolKey: 'back' });
    uplink.line({ end: { body: '{}' } });
    expect((await uplink.end()).status).to.equal(200);
    // Its only slot was taken until then.
    const second = await next.next('infer');
    expect(second.taskId).to.equal(waiting.id);
    expect((await rowOf(row.id)).crashes).to.equal(0);
    await worker.serve(second, [], { body: '{}' });
  });

  it('keeps a task that it still speaks for while only its stream is broken', async () => {
    const worker = await started([{ name: 'mute' }]);
    const stream = await worker.open();
    const row = await submitTask(t, { poolKey: 'mute' });
    const uplink = worker.uplink(await stream.next('infer'));
    uplink.line({ beat: true });
    stream.cut();
    await until(
      () => statusOf('mute'),
      (status) => status === 'inactive',
    );
    uplink.line({ beat: true });
    // Later than the next beat would come of one that is as busy as others.
    await new Promise((resolve) => setTimeout(resolve, 1_700));
    expect((await rowOf(row.id)).crashes).to.equal(0);
    uplink.line({ end: { body: '{}' } });
    expect(await uplink.end()).to.deep.equal({ status: 200, json: { outcome: 'ended' } });
  });

  it('ends worker_lost where something was shown, and poison_task with the third death', async () => {
    const caller = await started([{ name: 'shown' }]);
    const stream = await caller.open();
    const answer = t.call('POST /api/v1/llms/shown/infer', {
      body: { messages: [{ role: 'user', content: 'x' }], stream: true },
    });
    const uplink = caller.uplink(await stream.next('infer'));
    const data = JSON.stringify({ choices: [{ index: 0, delta: { content: 'seen' } }] });
    uplink.line({ seq: 1, data });
    const { redis, keys } = t.deps.queue;
    const { taskId } = stream.frames[0] as { taskId: string };
    const fence = async () => (await readFences(redis, keys, [{ taskId, poolKey: 'shown' }]))[0];
    await until(fence, (f) => f?.shown !== undefined && f.shown !== '');
    caller.kill();
    expect((await answer).text)
      .to.include('seen')
      .and.include('worker_lost');

    const row = await submitTask(t, { poolKey: 'poison' });
    for (let deaths = 1; deaths <= 3; deaths++) {
      const worker = await started([{ name: `p${String(deaths)}`, poolName: 'poison' }]);
      await (await worker.open()).next('infer');
      worker.kill();
      if (deaths < 3)
        await until(
          () => rowOf(row.id),
          ({ crashes }) => crashes === deaths,
        );
    }
    const ended = async () => (await readFences(redis, keys, [{ taskId: row.id, poolKey: 'poison' }]))[0];
    expect(await until(ended, (f) => f?.state === 'ended')).to.include({ state: 'ended' });
  });

  it('takes the place of its own older stream, and no other instance may while it is there', async () => {
    const worker = await started([{ name: 'twice' }]);
    const older = await worker.open();
    const newer = await worker.open();
    await older.closed;
    expect(await statusOf('twice')).to.equal('active');
    const copy = new SseWorker({ url: t.url, token: t.tokens.ada });
    workers.push(copy);
    copy.session = worker.session;
    expect((await copy.register([{ name: 'twice' }])).json['code']).to.equal('session_in_use');
    expect(await copy.tryOpen()).to.deep.include({ status: 409 });
    newer.cut();
    await until(
      () => statusOf('twice'),
      (status) => status === 'inactive',
    );
    expect((await copy.register([{ name: 'twice' }])).status).to.equal(201);
    expect(await worker.tryOpen()).to.deep.include({ status: 404 });
    await copy.open();
  });

  it('is not found by others, nor when it is unknown or has left', async () => {
    const worker = await started([{ name: 'mine' }]);
    const stranger = new SseWorker({ url: t.url, token: t.tokens.bob });
    stranger.session = worker.session;
    const unknown = new SseWorker({ url: t.url, token: t.tokens.bob });
    const answers = [await stranger.tryOpen(), await unknown.tryOpen()];
    unknown.session = '*';
    answers.push(await unknown.tryOpen());
    await worker.goodbye();
    answers.push(await worker.tryOpen());
    for (const answer of answers) expect(answer).to.deep.include({ status: 404 });
  });

  it('hands back what it runs with its goodbye, and nothing is held against it', async () => {
    const worker = await started([{ name: 'bye', poolName: 'byes' }]);
    const stream = await worker.open();
    const row = await submitTask(t, { poolKey: 'byes' });
    const frame = await stream.next('infer');
    worker.uplink(frame).beating();
    await worker.goodbye();
    await stream.closed;
    const { redis, keys } = t.deps.queue;
    const fence = async () => (await readFences(redis, keys, [{ taskId: row.id, poolKey: 'byes' }]))[0];
    expect(await until(fence, (f) => f?.state === 'released')).to.include({ state: 'released' });
    expect((await fence())?.why).to.include('"counts":"none"');
    expect(await statusOf('bye')).to.equal('inactive');
  });
});
