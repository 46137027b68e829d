import { expect } from 'chai';
import { cancelled, closeTask } from '../../core/flow/end/cancel.ts';
import { putOut, type PutOutDeps } from '../../core/flow/put-out.ts';
import { requeueTask } from '../../core/flow/requeue.ts';
import { settleTask } from '../../core/flow/end/settle.ts';
import { claimTask, endClaim, handBack } from '../../core/queue/task/claim.ts';
import { readFences, show, type Fence } from '../../core/queue/task/fence.ts';
import { runScript, teachScript } from '../../core/queue/scripts.ts';
import { laying } from '../../core/queue/task/submission.ts';
import { beginning, readLast, readPage } from '../../core/queue/task/stream.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { Brake } from '../../scheduler/brake.ts';
import { submissionOf } from '../support/tasks.ts';
import { openHouse, POOL, SESSION, type House } from './histories/house.ts';
import { duties, type DutyName } from './histories/play.ts';
import { until, type Stop, type Tools } from './histories/stoppable.ts';

const done = { kind: 'completed', status: 200 } as const;
const left = { counts: 'none', code: 'shutting_down', message: 'Bye.' } as const;

/** What the model found without a rule, done to the product: one trace each. */
describe('a task whose process stops halfway', () => {
  let t: House;
  before(async () => {
    t = await openHouse();
    await teachScript(t.queue.redis, 'look'); // so that a step of the reconciler is the same step each time
  });
  beforeEach(async () => {
    await t.connection.db('tasks').delete();
    await t.loseRedis();
    await t.present();
  });
  after(() => t.end());

  const place = (id: string) => ({ taskId: id, poolKey: POOL });
  const submit = async (): Promise<string> => {
    const task = t.newTask('infer');
    await t.registry.tasks.insert(task);
    await t.queue.dispatch.enqueue(submissionOf(task));
    return task.id;
  };
  const rowOf = async (id: string): Promise<TaskRow> =>
    (await t.registry.tasks.byId(id)) ?? expect.fail('the row is gone');
  const fenceOf = async (id: string): Promise<Fence | null> =>
    (await readFences(t.queue.redis, t.queue.keys, [place(id)]))[0] ?? null;
  const claim = async (id: string, claimId: string, jobId = `${id}-1`) =>
    claimTask(
      t.queue,
      { ...place(id), jobId },
      { claimId, session: SESSION, boot: 'b1', llmId: t.members[0] ?? '' },
    );
  const end = (id: string, claimId: string) =>
    endClaim({ ...t.queue, eventKeepMs: 60_000 }, { ...place(id), claimId }, done);
  const duty = async (name: DutyName): Promise<number> => {
    await t.age();
    return await duties[name](t.dutyDeps(t.tools)).run(new AbortController().signal);
  };
  const cancel = (id: string, stop: Stop | null = null) =>
    until(t.tools, stop, async (tools) => closeTask(t.flow(tools, 'edge'), await rowOf(id), cancelled));
  const waiting = (): Promise<string[]> =>
    t.queue.redis.lrange(`${t.queue.keys.namespace}:${t.queue.keys.pool(POOL).queue()}:wait`, 0, -1);
  const pinned = async (id: string, claimId: string): Promise<void> => {
    expect(await claim(id, claimId)).to.include({ epoch: 1 });
    expect(await show(t.queue.redis, t.queue.keys, { ref: place(id), attempt: { epoch: 1 } })).to.be.an(
      'object',
    );
  };
  const requeue = async (id: string, stop: Stop | null) => {
    const [row, fence] = [await rowOf(id), await fenceOf(id)];
    if (!fence) expect.fail('the fence is gone');
    return await until(t.tools, stop, (tools) => requeueTask(t.flow(tools, 'scheduler'), { row, fence }));
  };

  it('is shown no more once it was handed back', async () => {
    const id = await submit();
    await claim(id, 'c1');
    expect(await handBack(t.queue, { ...place(id), claimId: 'c1', epoch: 1 }, left)).to.equal('ok');
    expect(await show(t.queue.redis, t.queue.keys, { ref: place(id), attempt: { epoch: 1 } })).to.equal(null);
    expect(await duty('hand-back')).to.equal(1);
    expect(await fenceOf(id)).to.include({ epoch: 2, state: 'open', claim: '' });
    await cancel(id);
  });

  it('is shown as the claim that it has, never as the one before', async () => {
    const id = await submit();
    await claim(id, 'dead');
    expect(await duty('reap')).to.equal(1);
    expect(await claim(id, 'c2')).to.include({ epoch: 2 });
    const showing = async (epoch: number) =>
      (await show(t.queue.redis, t.queue.keys, { ref: place(id), attempt: { epoch } })) !== null;
    expect([await showing(1), await showing(2)]).to.deep.equal([false, true]);
    expect(await fenceOf(id)).to.include({ shown: 'c2' });
  });

  it('has each event once, however often the call that brings it is sent', async () => {
    const id = await submit();
    await claim(id, 'c1');
    const { fence, stream, channel } = t.queue.keys.pool(POOL).task(id);
    const emit = (first: number, ...events: string[]) =>
      runScript(t.queue.redis, 'emit', {
        keys: [fence, stream],
        args: ['c1', first, 60_000, 1_000_000, channel, events.length, events.join('\n')],
      });
    for (const batch of [['one'], ['one'], ['one', 'two'], ['one', 'two', 'three', 'four']])
      expect(await emit(1, ...batch)).to.equal(1);
    const { entries } = await readPage(t.queue.redis, stream, beginning);
    expect(entries.map((e) => (e.kind === 'events' ? `${e.seq} ${e.data.join()}` : e.kind))).to.deep.equal([
      '1 one',
      '2 two',
      '4 three,four',
    ]);
    await cancel(id);
  });

  it('waits again although its job had been finished: BullMQ would not add one that it knows', async () => {
    const id = await submit();
    const [fetcher] = t.fetchers;
    const job = await fetcher?.getNextJob('token', { block: false });
    expect(job?.data.T).to.equal(id);
    await job?.moveToCompleted(null, 'token', false);
    expect(await duty('reconcile')).to.equal(1);
    expect(await waiting()).to.include(`${id}-1`);
    await cancel(id);
  });

  it('waits again when who enqueued it died before the job was added', async () => {
    const task = t.newTask('async');
    await t.registry.tasks.insert(task);
    // An edge of an earlier release, which added it with a command of its own: ours does both in one script.
    const turns = t.queue.keys.pool(POOL).turns('interactive');
    await runScript(t.queue.redis, 'enqueue', laying(t.queue.keys, turns, { task: submissionOf(task) }));
    expect(await fenceOf(task.id)).to.include({ epoch: 1 });
    expect(await waiting()).to.deep.equal([]);
    expect(await duty('reconcile')).to.equal(1);
    expect(await waiting()).to.have.length(1);
    expect(await duty('reconcile'), 'once more').to.equal(0);
    await cancel(task.id);
  });

  it('comes back under a new epoch when Redis has lost it, and its old claim is nobody’s', async () => {
    const id = await submit();
    await pinned(id, 'c1');
    await t.loseRedis();
    await t.present();
    expect(await duty('reconcile')).to.equal(1);
    expect(await fenceOf(id)).to.include({ epoch: 2, claim: '' });
    expect(await end(id, 'c1')).to.equal(false);
    expect((await rowOf(id)).epoch).to.equal(2);
    await cancel(id);
  });

  it('is laid down once per epoch: also when who had allocated it comes late, after Redis was lost', async () => {
    const id = await submit();
    await claim(id, 'dead');
    // A leader has the new epoch and is held up; another does its work, and Redis loses both.
    const paused = await requeue(id, { how: 'hold', before: 2 });
    expect((await rowOf(id)).epoch).to.equal(2);
    expect(await duty('reconcile')).to.equal(1);
    const first = await fenceOf(id);
    expect(await claim(id, 'c1', first?.job)).to.include({ epoch: first?.epoch });
    await t.loseRedis();
    await t.present();
    await paused?.letGo();
    const second = await fenceOf(id);
    expect(second?.epoch).not.to.equal(first?.epoch);
    await cancel(id);
  });

  it('goes on when its leader died between row and fence', async () => {
    const id = await submit();
    await claim(id, 'dead');
    await requeue(id, { how: 'die', before: 2 });
    expect([(await rowOf(id)).epoch, (await fenceOf(id))?.epoch]).to.deep.equal([2, 1]);
    expect(await duty('reconcile')).to.equal(1);
    const fence = await fenceOf(id);
    expect(fence).to.include({ epoch: (await rowOf(id)).epoch, state: 'open', claim: '' });
    expect(await end(id, 'dead')).to.equal(false);
    await cancel(id);
  });

  it('is not begun again by who looked before it was claimed: its row is where its fence is', async () => {
    const id = await submit();
    const [fetcher] = t.fetchers;
    const job = await fetcher?.getNextJob('token', { block: false });
    await t.age();
    // The reconciler sees a job that nobody claims, and is held up before it writes; then the member does claim it.
    const look = (tools: Tools) => duties.reconcile(t.dutyDeps(tools)).run(new AbortController().signal);
    const paused = await until(t.tools, { how: 'hold', before: 2 }, look);
    expect(await claim(id, 'c1', job?.id)).to.include({ epoch: 1 });
    await paused?.letGo();
    expect(await fenceOf(id)).to.include({ epoch: 1, claim: 'c1', row: (await rowOf(id)).epoch });
    expect(await until(t.tools, null, look)).to.equal(null);
    expect(await fenceOf(id), 'the next look').to.include({ epoch: 1, claim: 'c1' });
    expect(await end(id, 'c1')).to.equal(true);
  });

  it('is taken from who is put out, however late it was claimed', async () => {
    const id = await submit();
    const jobId = `${id}-1`;
    const [llmId = ''] = t.members;
    // Its worker has the job, and claims while the putting out is on its way: just before its mark, and just after.
    const presence: PutOutDeps['presence'] = {
      ...t.queue.presence,
      async deny(sessionId, members) {
        expect(await claim(id, 'late', jobId)).to.include({ epoch: 1 });
        await t.queue.presence.deny(sessionId, members);
      },
    };
    const members = [{ llmId, poolKey: POOL }];
    const denied = { sessionId: SESSION, boot: 'b1', members, isOver: false };
    await putOut({ flow: t.flow(t.tools, 'edge'), queue: t.queue, presence }, denied);
    expect(await fenceOf(id)).to.include({ epoch: 2, claim: '', state: 'open' });
    expect(await end(id, 'late')).to.equal(false);
    expect(await claim(id, 'later', (await fenceOf(id))?.job)).to.equal('unfit');
    expect(await rowOf(id)).to.include({ status: 'pending', crashes: 0 });
    await cancel(id);
  });

  it('is not laid down anew over a fence that came meanwhile', async () => {
    const id = await submit();
    const { fence: key } = t.queue.keys.pool(POOL).task(id);
    const kept = await t.queue.redis.dumpBuffer(key);
    await t.queue.redis.del(key);
    await t.age();
    const look = (tools: Tools) => duties.reconcile(t.dutyDeps(tools)).run(new AbortController().signal);
    const paused = await until(t.tools, { how: 'hold', before: 2 }, look);
    await t.queue.redis.restore(key, 0, kept);
    expect(await claim(id, 'c1')).to.include({ epoch: 1 });
    await paused?.letGo();
    expect(await fenceOf(id)).to.include({ epoch: 1, claim: 'c1' });
    await t.age();
    expect(await until(t.tools, null, look)).to.equal(null);
    expect(await fenceOf(id), 'the next look').to.include({ epoch: 1, claim: 'c1' });
    await cancel(id);
  });

  it('starts over when its end was lost and nobody was shown anything; what was shown ends worker_lost', async () => {
    const [shown, unseen] = [await submit(), await submit()];
    await pinned(shown, 'c1');
    await claim(unseen, 'c2');
    for (const [id, claimId] of [
      [shown, 'c1'],
      [unseen, 'c2'],
    ] as const) {
      await end(id, claimId);
      await t.queue.redis.del(t.queue.keys.pool(POOL).task(id).stream);
    }
    expect(await duty('reconcile')).to.equal(2);
    expect(await rowOf(shown)).to.include({ status: 'error', errorCode: 'worker_lost' });
    expect(await rowOf(unseen)).to.include({ status: 'pending', epoch: 2, crashes: 0 });
    expect(await fenceOf(unseen)).to.include({ epoch: 2, state: 'open', claim: '' });
    await cancel(unseen);
  });

  it('is settled by what the look saw, though Redis loses everything right after it', async () => {
    const id = await submit();
    await claim(id, 'c1');
    await end(id, 'c1');
    await t.age();
    const look = (tools: Tools) => duties.reconcile(t.dutyDeps(tools)).run(new AbortController().signal);
    const paused = await until(t.tools, { how: 'hold', before: 2 }, look);
    await t.loseRedis();
    await paused?.letGo();
    expect(await rowOf(id)).to.include({ status: 'completed', claimId: 'c1' });
  });

  it('is left alone when what fell behind was shown: it may only end', async () => {
    const id = await submit();
    await claim(id, 'c1');
    const paused = await requeue(id, { how: 'hold', before: 2 });
    expect(await show(t.queue.redis, t.queue.keys, { ref: place(id), attempt: { epoch: 1 } })).to.be.an(
      'object',
    );
    await paused?.letGo();
    expect(await duty('reconcile')).to.equal(0);
    expect(await fenceOf(id)).to.include({ epoch: 1, claim: 'c1' });
    expect(await end(id, 'c1')).to.equal(true);
    expect(await duty('settle')).to.equal(1);
    expect(await rowOf(id)).to.include({ status: 'completed', claimId: 'c1' });
  });

  it('is cancelled in the end when who cancelled it died before the row was written', async () => {
    const id = await submit();
    await cancel(id, { how: 'die', before: 2 });
    expect([(await rowOf(id)).status, (await fenceOf(id))?.state]).to.deep.equal(['pending', 'closed']);
    expect(await duty('reconcile')).to.equal(1);
    expect((await rowOf(id)).status).to.equal('cancelled');
  });

  it('is not cancelled before its fence is closed: nobody would stop its worker', async () => {
    const id = await submit();
    await cancel(id, { how: 'die', before: 1 });
    expect([(await rowOf(id)).status, (await fenceOf(id))?.state]).to.deep.equal(['pending', 'open']);
    await cancel(id);
    expect((await rowOf(id)).status).to.equal('cancelled');
  });

  it('ends as it ended first, whoever settles, cancels or expires it afterwards', async () => {
    const id = await submit();
    await claim(id, 'c1');
    await end(id, 'c1');
    const last = await readLast(t.queue.redis, t.queue.keys.pool(POOL).task(id).stream);
    if (last?.kind !== 'end') expect.fail('no end');
    await t.loseRedis();
    expect((await cancel(id)) === null && (await rowOf(id)).status).to.equal('cancelled');
    const flow = t.flow(t.tools, 'edge');
    expect((await settleTask(flow, await rowOf(id), last.ending)).status).to.equal('cancelled');

    await t.present();
    const other = await submit();
    await claim(other, 'c2');
    await end(other, 'c2');
    await settleTask(flow, await rowOf(other), { ...last.ending, claim: 'c2' });
    await t.loseRedis();
    expect(await closeTask(flow, await rowOf(other), cancelled)).to.include({ status: 'completed' });
  });

  it('is settled by the scheduler when its edge died, and by the reconciler when that one missed it', async () => {
    const [one, two] = [await submit(), await submit()];
    for (const id of [one, two]) await claim(id, `claim of ${id}`);
    await end(one, `claim of ${one}`);
    expect(await duty('settle')).to.equal(1);
    await end(two, `claim of ${two}`);
    await t.queue.redis.del(t.queue.keys.pool(POOL).ended);
    expect(await duty('reconcile')).to.equal(1);
    for (const id of [one, two]) expect((await rowOf(id)).status).to.equal('completed');
  });

  it('ends worker_lost when its worker died after something was shown, and starts over when nothing was', async () => {
    const [shown, unseen] = [await submit(), await submit()];
    await pinned(shown, 'c1');
    await claim(unseen, 'c2');
    expect(await duty('reap')).to.equal(2);
    expect(await duty('settle')).to.equal(1);
    expect(await rowOf(shown)).to.include({ status: 'error', errorCode: 'worker_lost' });
    expect(await rowOf(unseen)).to.include({ status: 'pending', crashes: 1, epoch: 2 });
    await cancel(unseen);
  });
});

describe('the brake of the reaper', () => {
  let t: House;
  before(async () => {
    t = await openHouse();
  });
  after(() => t.end());

  it('takes nobody for dead for ten seconds after Redis came back, to this process or empty', async () => {
    let elapsed = 0;
    const clock = { ...systemClock, elapsed: () => elapsed };
    const brake = new Brake({ ...t.dutyDeps(t.tools), clock });
    await t.present();
    expect(await brake.allows([SESSION])).to.equal(true);
    const { redis } = t.queue;
    const back = new Promise((resolve) => redis.once('ready', resolve));
    redis.disconnect(true);
    await back;
    expect(await brake.allows([SESSION]), 'reconnected').to.equal(false);
    elapsed += 10_001;
    expect(await brake.allows([SESSION])).to.equal(true);
    await t.loseRedis();
    expect(await brake.allows([SESSION]), 'empty').to.equal(false);
    await t.present();
    expect(await brake.allows([SESSION]), 'still').to.equal(false);
    elapsed += 10_001;
    expect(await brake.allows([SESSION])).to.equal(true);
  });
});
