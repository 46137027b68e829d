import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { flowOf } from '../../edge/deps.ts';
import { takeBack } from '../../core/flow/take-back.ts';
import type { HandBack } from '../../core/task/hand-back.ts';
import { claimTask, isRefusal, handBack } from '../../core/queue/task/claim.ts';
import { readFences, type Fence } from '../../core/queue/task/fence.ts';
import { announce } from '../../core/queue/live/presence.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { submitTask } from '../support/tasks.ts';

const broke: HandBack = { counts: 'attempt', code: 'backend_error', message: 'It broke.' };
const left: HandBack = { counts: 'none', code: 'shutting_down', message: 'Bye.' };

describe('a task that was handed back', () => {
  let t: EdgeFixture;
  const sessionId = randomUUID();
  const ids = new Map<string, string>();
  const idOf = (name: string): string => ids.get(name) ?? expect.fail(`no llm ${name}`);

  before(async () => {
    t = await edgeFixture();
    const offers = ['a', 'b', 'c', 'd'].map((name) => t.offer(name, { poolName: 'p' }));
    const { llms } = await t.registry.sessions.register(
      t.publication(t.ada, [...offers, 'solo'], { sessionId }),
    );
    for (const { id, name } of llms) ids.set(name, id);
  });
  beforeEach(async () => {
    await t.deps.presence.hold(sessionId, 'b1');
    for (const name of ids.keys()) await says(name, 'serving');
  });
  after(() => t.close());

  const says = (name: string, state: 'serving' | 'down'): Promise<void> =>
    announce(
      { ...t.deps.queue, leaseMs: 5_000 },
      {
        poolKey: name === 'solo' ? 'solo' : 'p',
        llmId: idOf(name),
        announcement: { sessionId, boot: 'b1', slots: 1, running: 0, state },
      },
    );

  const submit = (more: Parameters<typeof submitTask>[1] = {}): Promise<TaskRow> => submitTask(t, more);
  /** `llm` takes the task at the epoch it has now, and lets go of it. */
  const handedBack = async (task: TaskRow, llm: string, why: HandBack): Promise<Fence> => {
    const ref = { taskId: task.id, poolKey: task.poolName };
    const fence = await fenceOf(task);
    const by = { claimId: randomUUID(), session: sessionId, boot: 'b1', llmId: idOf(llm) };
    const claimed = await claimTask(t.deps.queue, { ...ref, jobId: fence.job }, by);
    if (isRefusal(claimed)) expect.fail('not claimed');
    const claim = { ...ref, claimId: by.claimId, epoch: claimed.epoch };
    expect(await handBack(t.deps.queue, claim, why)).to.equal('ok');
    return await fenceOf(task);
  };
  const fenceOf = async (task: TaskRow): Promise<Fence> => {
    const ref = { taskId: task.id, poolKey: task.poolName };
    const [fence] = await readFences(t.deps.queue.redis, t.deps.queue.keys, [ref]);
    return fence ?? expect.fail('the fence is gone');
  };
  const rowOf = async (task: TaskRow): Promise<TaskRow> =>
    (await t.registry.tasks.byId(task.id)) ?? expect.fail('the row is gone');
  const take = async (task: TaskRow, fence: Fence): ReturnType<typeof takeBack> =>
    takeBack({ ...flowOf(t.deps), liveness: t.deps.liveness }, { row: await rowOf(task), fence });

  it('is tried by a member that has not failed it; the others put it aside', async () => {
    const task = await submit();
    expect(await take(task, await handedBack(task, 'a', broke))).to.equal('requeued');
    expect(await rowOf(task)).to.include({ status: 'pending', attempts: 1, epoch: 2 });
    const { job } = await fenceOf(task);
    const by = { claimId: randomUUID(), session: sessionId, boot: 'b1', llmId: idOf('a') };
    const again = () => claimTask(t.deps.queue, { taskId: task.id, poolKey: 'p', jobId: job }, by);
    expect(await again()).to.deep.equal({ met: 1 });
    expect(await again()).to.deep.equal({ met: 2 });
    await handedBack(task, 'b', broke);
    expect(await take(task, await fenceOf(task))).to.equal('requeued');
    expect((await fenceOf(task)).excluded.split(',')).to.have.members([idOf('a'), idOf('b')]);
  });

  it('is counted once, however many take it back, and whenever they looked', async () => {
    const task = await submit();
    const fence = await handedBack(task, 'a', broke);
    const answers = await Promise.all(Array.from({ length: 5 }, () => take(task, fence)));
    expect(answers.filter((answer) => answer === 'requeued')).to.have.length(1);
    expect(await take(task, fence)).to.equal('moved'); // the row of now, the fence of then
    expect(await rowOf(task)).to.include({ attempts: 1, epoch: 2 });
    expect(await t.registry.tasks.attempts(task.id)).to.have.length(1);
  });

  it('starts over though its row is behind its fence, as of a Postgres that has lost its last commits', async () => {
    const task = await submit();
    expect(await take(task, await handedBack(task, 'a', left))).to.equal('requeued');
    await t.connection.db.raw('alter table tasks disable trigger guard_task');
    await t.connection.db('tasks').where({ id: task.id }).update({ epoch: 1 });
    await t.connection.db.raw('alter table tasks enable trigger guard_task');
    expect(await take(task, await handedBack(task, 'b', left))).to.equal('requeued');
    expect([(await rowOf(task)).epoch, (await fenceOf(task)).epoch]).to.deep.equal([3, 3]);
  });

  it('ends after the third attempt, and names each', async () => {
    const task = await submit();
    await take(task, await handedBack(task, 'a', broke));
    await take(task, await handedBack(task, 'b', { ...broke, code: 'backend_timeout', message: 'Silent.' }));
    expect(await take(task, await handedBack(task, 'c', broke))).to.equal('ended');
    const row = await rowOf(task);
    expect(row).to.include({ status: 'error', attempts: 3, errorCode: 'backend_error' });
    const message =
      'No member could answer. 1. a: backend_error: It broke. 2. b: backend_timeout: Silent. 3. c: backend_error: It broke.';
    expect(row.errorMessage).to.equal(message);
    expect((await t.registry.tasks.attempts(task.id)).map((a) => a.llm)).to.deep.equal(['a', 'b', 'c']);
    expect((await fenceOf(task)).state).to.equal('closed');
  });

  it('is asked of each member while those before could not do it, which is no failure of theirs', async () => {
    const unable: HandBack = {
      ...{ counts: 'attempt', code: 'no_capable_member', message: 'Not with this model.' },
      reason: { code: 'unsupported_parameter', param: 'temperature' },
    };
    const task = await submit();
    for (const name of ['a', 'b', 'c'])
      expect(await take(task, await handedBack(task, name, unable))).to.equal('requeued');
    expect(await take(task, await handedBack(task, 'd', unable))).to.equal('ended');
    const row = await rowOf(task);
    expect(row).to.include({ status: 'error', errorCode: 'no_capable_member' });
    expect(row.errorReason).to.deep.equal(unable.reason);
    // Where nobody waits as well: asked again it could not do it either.
    const later = await submit({ poolKey: 'solo', source: 'async' });
    expect(await take(later, await handedBack(later, 'solo', unable))).to.equal('ended');
    // One that has merely failed may have it again, one that cannot do it may not.
    await Promise.all([says('c', 'down'), says('d', 'down')]);
    const mixed = await submit({ source: 'async' });
    await take(mixed, await handedBack(mixed, 'a', broke));
    expect(await take(mixed, await handedBack(mixed, 'b', unable))).to.equal('requeued');
    expect((await fenceOf(mixed)).excluded).to.equal(idOf('b'));
  });

  it('ends at once when no other member is there, as its caller waits', async () => {
    const task = await submit({ poolKey: 'solo' });
    expect(await take(task, await handedBack(task, 'solo', broke))).to.equal('ended');
    expect(await rowOf(task)).to.include({
      status: 'error',
      errorCode: 'backend_error',
      errorMessage: 'It broke.',
    });
  });

  it('does not count on a member whose backend is down', async () => {
    for (const name of ['b', 'c', 'd']) await says(name, 'down');
    const task = await submit();
    expect(await take(task, await handedBack(task, 'a', broke))).to.equal('ended');
  });

  it('ends when it is pinned: nobody else may have it', async () => {
    const task = await submit({ pin: idOf('a') });
    expect(await take(task, await handedBack(task, 'a', broke))).to.equal('ended');
  });

  it('may go to the same member again when nobody waits for it', async () => {
    const task = await submit({ poolKey: 'solo', source: 'async' });
    expect(await take(task, await handedBack(task, 'solo', broke))).to.equal('requeued');
    expect(await fenceOf(task)).to.include({ excluded: '', epoch: 2 });
    await take(task, await handedBack(task, 'solo', broke));
    expect(await take(task, await handedBack(task, 'solo', broke))).to.equal('ended');
  });

  it('keeps who failed it when a member merely leaves, which counts as nothing', async () => {
    const task = await submit();
    await take(task, await handedBack(task, 'a', broke));
    expect(await take(task, await handedBack(task, 'b', left))).to.equal('requeued');
    expect((await fenceOf(task)).excluded).to.equal(idOf('a'));
    expect(await rowOf(task)).to.include({ attempts: 1, crashes: 0 });
  });

  it('is not ended by who looked before it was requeued', async () => {
    const task = await submit();
    const fence = await handedBack(task, 'a', broke);
    expect(await take(task, fence)).to.equal('requeued');
    for (const name of ['b', 'c', 'd']) await says(name, 'down');
    expect(await take(task, fence)).to.equal('moved');
    expect((await rowOf(task)).status).to.equal('pending');
  });

  const notReady: HandBack = { counts: 'attempt', code: 'backend_not_ready', message: 'Loading model' };

  it('waits for a backend that is not ready, however often that says so, and notes a few of the times', async () => {
    for (const source of ['async', 'infer'] as const) {
      const task = await submit({ poolKey: 'solo', source, queueMs: 60_000 });
      for (let n = 0; n < 12; n++)
        expect(await take(task, await handedBack(task, 'solo', notReady))).to.equal('requeued');
      expect(await rowOf(task)).to.include({ status: 'pending', attempts: 0, epoch: 13 });
      expect((await fenceOf(task)).excluded).to.equal('');
      expect(await t.registry.tasks.attempts(task.id)).to.have.length(8);
      // A failure is still one, and its own three are left to it.
      const broken = await take(task, await handedBack(task, 'solo', broke));
      expect(broken).to.equal(source === 'async' ? 'requeued' : 'ended');
    }
  });

  it('goes on from a backend that is not ready to another, and shuts neither out', async () => {
    const task = await submit();
    expect(await take(task, await handedBack(task, 'a', notReady))).to.equal('requeued');
    expect(await rowOf(task)).to.include({ attempts: 1 });
    expect((await fenceOf(task)).excluded).to.equal('');
    await take(task, await handedBack(task, 'b', broke));
    expect((await fenceOf(task)).excluded).to.equal(idOf('b'));
    for (const name of ['c', 'd', 'a', 'c'])
      expect(await take(task, await handedBack(task, name, notReady))).to.equal('requeued');
    expect((await fenceOf(task)).excluded).to.equal(idOf('b'));
  });

  it('is not made to wait for longer than there is time, nor round and round', async () => {
    const late = { ...notReady, retryAfterS: 61 };
    const busy = { ...notReady, code: 'too_many_requests', retryAfterS: 7 };
    const sync = { poolKey: 'solo', queueMs: 60_000 };
    const one = await submit(sync);
    expect(await take(one, await handedBack(one, 'solo', late))).to.equal('ended');
    expect(await rowOf(one)).to.include({ errorCode: 'backend_not_ready', errorMessage: 'Loading model' });
    const two = await submit(sync);
    expect(await take(two, await handedBack(two, 'solo', busy))).to.equal('ended');
    const three = await submit({ ...sync, source: 'async' });
    expect(await take(three, await handedBack(three, 'solo', busy))).to.equal('requeued');
    // One that comes back at once each time is given up on.
    const hasty = await submit({ poolKey: 'solo', source: 'async', queueMs: 2_000 });
    let rounds = 0;
    while ((await take(hasty, await handedBack(hasty, 'solo', notReady))) === 'requeued') rounds += 1;
    expect(rounds).to.be.within(10, 20);
  });

  it('is not taken and let go of for as long as a task may wait, by one who says that it leaves, or is not ready', async () => {
    const day = { poolKey: 'solo', queueMs: 86_400_000, source: 'async' } as const;
    const unread = { ...left, code: 'unavailable', message: 'Its request could not be read.' };
    for (const why of [left, unread, notReady]) {
      const task = await submit(day);
      let rounds = 0;
      while (rounds < 40 && (await take(task, await handedBack(task, 'solo', why))) === 'requeued')
        rounds += 1;
      expect(rounds, why.code).to.be.within(15, 30);
      const { status, errorMessage } = await rowOf(task);
      expect(status).to.equal('error');
      expect(errorMessage).to.include(why.message);
    }
  });

  it('survives what a hostile worker says of it', async () => {
    const task = await submit();
    const fence = await handedBack(task, 'a', broke);
    const whys = [
      '',
      'null',
      '{"counts":"attempt"}',
      '\u0000',
      '[]',
      '{"counts":"crash","code":"x","message":1}',
    ];
    for (const why of whys) expect(await take(task, { ...fence, why })).to.be.oneOf(['requeued', 'moved']);
    expect(await rowOf(task)).to.include({ attempts: 0, status: 'pending' });
  });
});
