import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'chai';
import type { PoolView } from '../../core/pool.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';
import { submitTask } from '../support/tasks.ts';
import { wireToUrl, type Wire } from '../support/wire.ts';
import { SseWorker, type Stream } from './sse-worker.ts';

const redisUrl = process.env['REDIS_URL'] ?? '';

describe('the slots and the state of a worker of the sse transport', () => {
  let t: EdgeFixture;
  /** Between the edge and Redis. */
  let wire: Wire;
  const workers: SseWorker[] = [];
  before(async () => {
    wire = await wireToUrl(redisUrl);
    const env = { MCPCTL_LEASE_MS: '4000', MCPCTL_FIRST_EVENT_MS: '1500' };
    t = await edgeFixture(env, { redisUrl: wire.url(redisUrl) });
  });
  after(async () => {
    await t.close();
    await wire.close();
  });
  afterEach(async () => {
    for (const timer of beating.splice(0)) clearInterval(timer);
    for (const worker of workers.splice(0)) {
      await worker.goodbye();
      worker.kill();
    }
  });

  const started = async (offers: object[]): Promise<SseWorker> => {
    const worker = new SseWorker({ url: t.url, token: t.tokens.ada });
    workers.push(worker);
    await worker.register(offers as Record<string, unknown>[]);
    return worker;
  };
  const quiet = (ms = 400): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  /** Resolves when the edge that has its stream has heard it, and not one of those that keep the lease beside it. */
  const heard = async (worker: SseWorker, heartbeat: object): Promise<void> => {
    const { queue } = t.deps;
    const channel = queue.keys.control(worker.session ?? '', worker.instance ?? '');
    await new Promise<void>((resolve, reject) => {
      const listening = queue.subscriber.listen(channel, (message) => {
        const said: unknown = message.kind === 'message' ? JSON.parse(message.text) : {};
        if (isDeepStrictEqual(said, { kind: 'state', ...heartbeat })) resolve();
      });
      const telling = listening.then(() => worker.heartbeat(heartbeat));
      telling.then(({ status }) => expect(status).to.equal(200)).catch(reject);
    });
  };
  const submitted = (poolKey: string) => submitTask(t, { poolKey });
  /** Keeps the short lease of these tests. */
  const beating: NodeJS.Timeout[] = [];
  const alive = (worker: SseWorker): (() => void) => {
    const timer = setInterval(() => void worker.heartbeat(), 500);
    beating.push(timer);
    return () => clearInterval(timer);
  };

  it('are one number for a backend, whatever names and pools it serves', async () => {
    const group = { slotGroup: 'backend-1' };
    const worker = await started([
      { name: 'g1', maxConcurrency: 2, ...group },
      { name: 'g2', maxConcurrency: 1, ...group },
      { name: 'other', maxConcurrency: 1 },
    ]);
    const stop = alive(worker);
    const stream = await worker.open();
    for (const pool of ['g1', 'g2', 'g1', 'g2', 'other']) await submitted(pool);
    await stream.until('three frames', () => stream.frames.length === 3);
    await quiet();
    expect(stream.frames).to.have.length(3);
    const frames = [await stream.next('infer'), await stream.next('infer'), await stream.next('infer')];
    expect(frames.filter((frame) => frame.llmName !== 'other')).to.have.length(2);
    const ofGroup = frames.find((frame) => frame.llmName !== 'other') ?? expect.fail('none');
    await worker.serve(ofGroup, [], { body: '{}' });
    await stream.until('one more', () => stream.frames.length === 4);
    await quiet();
    expect(stream.frames).to.have.length(4);
    stop();
  });

  it('grow and shrink with a registration, and members come and go', async () => {
    const worker = await started([{ name: 'r1', maxConcurrency: 1 }]);
    const stop = alive(worker);
    const stream = await worker.open();
    for (let n = 0; n < 2; n++) await submitted('r1');
    await submitted('r2');
    await stream.until('a frame', () => stream.frames.length === 1);
    await quiet();
    expect(stream.frames).to.have.length(1);
    await worker.register([{ name: 'r1', maxConcurrency: 2 }, { name: 'r2' }]);
    await stream.until('all', () => stream.frames.length === 3);
    await worker.register([{ name: 'r2' }]);
    await until(
      async () => t.registry.llms.byName('r1'),
      (row) => row?.inactiveReason === 'unpublished',
    );
    await submitted('r1');
    await quiet();
    expect(stream.frames).to.have.length(3);
    stop();
  });

  it('are not given away while a member rests, is down or asleep, or its worker drains', async () => {
    const worker = await started([{ name: 's1', maxConcurrency: 8 }]);
    const stop = alive(worker);
    const stream = await worker.open();
    await submitted('s1');
    await stream.until('the first task, so that it is served', () => stream.frames.length === 1);
    const states = [
      { members: { s1: 'resting' } },
      { members: { s1: 'down' } },
      { members: { s1: 'asleep' } },
      { state: 'draining' },
    ];
    for (const [n, heartbeat] of states.entries()) {
      await heard(worker, heartbeat);
      await submitted('s1');
      await quiet(300);
      expect(stream.frames, JSON.stringify(heartbeat)).to.have.length(n + 1);
      await worker.heartbeat({ state: 'serving', members: { s1: 'serving' } });
      await stream.until('the task', () => stream.frames.length === n + 2);
    }
    stop();
  });

  it('are kept for later while a member rests: for how long is shown, whatever a worker says', async () => {
    const worker = await started([{ name: 's1' }]);
    const stop = alive(worker);
    await worker.open();
    const shownMs = async (): Promise<number | undefined> => {
      const { json } = await t.call('GET /api/v1/pools/s1');
      const until = (json as PoolView).members[0]?.restingUntil;
      return until === undefined ? undefined : Date.parse(until) - Date.now();
    };
    const members = { s1: 'resting' };
    for (const [s1, least, most] of [
      [20_000, 10_000, 20_000],
      [1e300, 1_790_000, 1_800_000],
    ] as const) {
      await worker.heartbeat({ members, rests: { s1, another: -1 } });
      expect(await until(shownMs, (ms) => ms !== undefined && ms >= least)).to.be.at.most(most);
    }
    for (const rests of [{ s1: -1 }, undefined]) {
      await worker.heartbeat({ members, rests: { s1: 20_000 } });
      await until(shownMs, (ms) => ms !== undefined);
      expect((await worker.heartbeat({ members, rests })).status, JSON.stringify(rests)).to.equal(200);
      await until(shownMs, (ms) => ms === undefined);
    }
    stop();
  });

  it('are given to a member whose name every object has', async () => {
    const worker = await started([{ name: 'constructor' }]);
    const stop = alive(worker);
    const stream = await worker.open();
    await heard(worker, { state: 'serving', members: {} });
    await submitted('constructor');
    await stream.until('the task', () => stream.frames.length === 1);
    stop();
  });

  it('are not kept by a member that says nothing of its task: another has it, and the silent one rests', async () => {
    const silent = await started([{ name: 'd1', poolName: 'dull', maxConcurrency: 100 }]);
    alive(silent);
    const stream = await silent.open();
    const infer = () =>
      t.call('POST /api/v1/llms/dull/infer', { body: { messages: [{ role: 'user', content: 'hi' }] } });
    const answers = [infer(), infer()];
    const frames = [await stream.next('infer'), await stream.next('infer')];
    for (const frame of frames) silent.uplink(frame).beating();
    // A stream of its own again: the time that it has had is not forgotten.
    stream.cut();
    const again = await silent.open({
      'x-mcpctl-running': frames.map(({ taskId, claimId }) => `${taskId}:${claimId}`).join(','),
    });
    const other = await started([{ name: 'd2', poolName: 'dull', maxConcurrency: 100 }]);
    alive(other);
    const helpful = await other.open();
    expect((await again.next('cancel')).taskId).to.be.oneOf(frames.map(({ taskId }) => taskId));
    // It rests from this moment on: these would be there before it is looked at again.
    const late = Array.from({ length: 20 }, infer);
    const passedOn: { taskId: string; claimId: string }[] = [];
    for (const _ of [...frames, ...late]) {
      const next = await helpful.next('infer');
      passedOn.push(next);
      await other.serve(next, [], { body: '{"choices":[{"finish_reason":"stop","message":{}}]}' });
    }
    for (const { status } of await Promise.all([...answers, ...late])) expect(status).to.equal(200);
    for (const { taskId, claimId } of frames)
      expect(passedOn.find((frame) => frame.taskId === taskId)?.claimId)
        .to.be.a('string')
        .and.not.equal(claimId);
    expect(again.frames.filter(({ kind }) => kind === 'infer')).to.have.length(0);
    const restsMs = async (): Promise<number> => {
      const { json } = await t.call('GET /api/v1/pools/dull');
      const one = (json as PoolView).members.find(({ name }) => name === 'd1');
      return Date.parse(one?.restingUntil ?? '') - Date.now();
    };
    expect(await until(restsMs, (ms) => ms > 0)).to.be.within(30_000, 60_000);
  });

  it('are not given to a session that is silent, though its stream is open', async () => {
    const worker = await started([{ name: 'q1' }]);
    const stream = await worker.open();
    await quiet(3_200); // half a lease, and a look
    await submitted('q1');
    await quiet();
    expect(stream.frames).to.have.length(0);
    await worker.heartbeat();
    await stream.until('the task', () => stream.frames.length === 1);
    // Silent for a whole lease, it is gone.
    await stream.closed;
    const view = (await t.call('GET /api/v1/llms/q1')).json as { status: string };
    expect(view.status).to.equal('inactive');
  });

  it('are asked for again where no edge hears how they are', async () => {
    const worker = await started([{ name: 'deaf' }]);
    const [session, boot] = [worker.session ?? '', worker.instance ?? ''];
    await t.deps.presence.holdFor(session, { boot, nonce: randomUUID() });
    expect((await worker.heartbeat({ members: { deaf: 'serving' } })).status).to.equal(503);
    expect((await worker.heartbeat()).status).to.equal(200);
    const stream = await worker.open();
    expect((await worker.heartbeat({ members: { deaf: 'serving' } })).status).to.equal(200);
    stream.cut();
  });

  it('cost two connections for any number of workers, and one of them waits for all', async () => {
    const before = wire.connections();
    const streams: Stream[] = [];
    for (let n = 0; n < 20; n++) {
      const worker = await started([{ name: `n${String(n)}` }]);
      alive(worker);
      streams.push(await worker.open());
    }
    expect(wire.connections()).to.equal(before);
    for (const n of [7, 19, 0]) {
      await submitted(`n${String(n)}`);
      await streams[n]?.until('a frame', () => streams[n]?.frames.length === 1);
    }
  });

  it('are what its worker and its rows say, though the edge missed it while its connection broke', async () => {
    const worker = await started([{ name: 'm1' }]);
    const stop = alive(worker);
    const stream = await worker.open();
    await heard(worker, { members: { m1: 'resting' } });
    // A registration that the edge is not told of, as if that were lost.
    const { session: sessionId = '', instance: instanceId = '' } = worker;
    const more = { sessionId, instanceId, workerVersion: '0.0.0-test', transport: 'sse' } as const;
    await t.registry.sessions.register(t.publication(t.ada, ['m1', 'm2'], more));
    await submitted('m2');
    wire.reset();
    await stream.until('its new member’s task', () => stream.frames.length === 1);
    // It says how they are on each stream that it opens.
    await stream.until('the question', () => stream.events.some(({ name }) => name === 'moving'));
    stop();
  });
});
