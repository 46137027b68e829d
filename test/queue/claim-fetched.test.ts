import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { claimFetched, isRefusal, type Claimed, type Refusal } from '../../core/queue/task/claim.ts';
import { refuse } from '../../core/queue/jobs/refuse.ts';
import { createLog } from '../../core/runtime/log.ts';
import { untaught } from '../support/failing-redis.ts';
import { newTask, submissionOf } from '../support/tasks.ts';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';

const silent = createLog({ process: 'test', level: 'silent', pretty: false });

describe('a claim that is asked for together with the job', function () {
  this.timeout(30_000);
  let t: QueueFixture;
  before(async () => {
    t = await queueFixture();
  });
  after(() => t.close());

  const queueOf = (poolKey: string): string => t.door.keys.pool(poolKey).queue();
  const member = (llmId: string) => ({ claimId: randomUUID(), session: randomUUID(), boot: 'b', llmId });
  const fetchAndClaim = async (poolKey: string, llmId = 'llm-1') => {
    const early = { keys: t.door.keys, poolKey, by: member(llmId) };
    const job = await t.fetchers.next([queueOf(poolKey)], early);
    return job && { job, early: job.early };
  };
  const enqueue = async (poolKey: string, more = {}) => {
    const task = { ...submissionOf(newTask({ ownerId: '', poolKey, requestBody: poolKey })), ...more };
    await t.door.dispatch.enqueueNew(task);
    return task;
  };

  const expectEach = async (poolKey: string, least: number): Promise<void> => {
    const tasks = await Promise.all(Array.from({ length: 40 }, () => enqueue(poolKey)));
    const taken = await Promise.all(tasks.map(() => fetchAndClaim(poolKey)));
    expect(new Set(taken.map((one) => one?.job.taskId)).size).to.equal(40);
    const early = taken.flatMap((one) => (one?.early ? [{ ...one, early: one.early }] : []));
    expect(early.length).to.be.at.least(least);
    for (const { job, early: claim } of early) {
      const task = tasks.find(({ taskId }) => taskId === job.taskId);
      expect(claim.answer).to.deep.include({ epoch: 1, body: poolKey });
      expect(task && (await t.fence(task))?.claim).to.equal(claim.claimId);
    }
    for (const one of taken) await one?.job.complete();
    expect(await t.redis.llen(`${t.door.keys.namespace}:${queueOf(poolKey)}:active`)).to.equal(0);
  };

  it('is for the task of that very job, however many are fetched at once', () => expectEach('many', 40));

  it('is so where Redis was taught by an edge that knows no script for both', () =>
    // Whoever stood behind sixteen others asks once more, by the name of the job.
    untaught(t.redis, 'take', () => expectEach('untaught', 16)));

  it('says with the job whether more waits, and lays down a marker only then', async () => {
    const marker = `${t.door.keys.namespace}:${queueOf('more')}:marker`;
    for (const priority of ['interactive', 'interactive', 'background'] as const)
      await enqueue('more', { priority });
    const seen: unknown[] = [];
    for (let n = 0; n < 3; n += 1) {
      await t.redis.del(marker);
      const taken = await fetchAndClaim('more');
      seen.push([taken?.job.more, await t.redis.exists(marker)]);
    }
    expect(seen).to.deep.equal([
      [true, 1],
      [true, 1],
      [false, 0],
    ]);
    expect(await fetchAndClaim('more')).to.equal(null);
  });

  it('is asked for by name, under the same id, where something stands in its way', async () => {
    const task = await enqueue('spoiled');
    const { fence } = t.door.keys.pool('spoiled').task(task.taskId);
    await t.redis.rename(fence, `${fence}-away`);
    await t.redis.lpush(fence, 'of another kind');
    const taken = await fetchAndClaim('spoiled');
    expect(taken?.job.taskId).to.equal(task.taskId);
    expect(taken?.early?.answer).to.equal(null);
    await t.redis.rename(`${fence}-away`, fence);
    const claimed = await t.claim(task, taken?.early?.claimId);
    expect(claimed).to.deep.include({ epoch: 1, body: 'spoiled' });
  });

  it('has its job finished behind its end, in the same write; also where somebody else has decided', async () => {
    for (const isLost of [false, true]) {
      const task = await enqueue('ends');
      const taken = await fetchAndClaim('ends');
      if (isLost)
        await t.door.dispatch.close(task, 'cancel', {
          kind: 'cancelled',
          code: 'task_cancelled',
          message: '',
        });
      const claimId = taken?.early?.claimId ?? '';
      const sent: string[] = [];
      const evalsha = t.redis.evalsha.bind(t.redis) as (...args: unknown[]) => Promise<unknown>;
      const noted = (...args: unknown[]): Promise<unknown> => (sent.push(String(args[0])), evalsha(...args));
      Object.assign(t.redis, { evalsha: noted });
      let finished: Promise<void> | undefined;
      let ended = false;
      const ending = t
        .emitter(task, { claimId, epoch: 1 })
        .end({ kind: 'completed', status: 200, body: '{}' }, () => {
          finished = taken?.job.complete();
          expect([sent.length, ended]).to.deep.equal([2, false]);
        });
      expect(await ending.then((is) => ((ended = true), is))).to.equal(!isLost);
      await finished;
      Object.assign(t.redis, { evalsha });
      const jobs = `${t.door.keys.namespace}:${queueOf('ends')}:`;
      expect(await t.redis.llen(`${jobs}active`)).to.equal(0);
      expect(await t.redis.zscore(`${jobs}completed`, taken?.job.jobId ?? '')).to.not.equal(null);
      expect((await t.fence(task))?.state).to.equal(isLost ? 'closed' : 'ended');
    }
  });

  it('says why not, as one that is asked for by name', async () => {
    const answers: (Claimed | Refusal | null)[] = [];
    const unfit = { head: { ...submissionOf(newTask({ ownerId: '' })).head, unfit: ['llm-1'] } };
    for (const more of [unfit, { epoch: 1 }]) {
      const task = await enqueue('no', more);
      if (!('head' in more)) await t.claim(task);
      const taken = await fetchAndClaim('no');
      if (taken?.early) answers.push(taken.early.answer);
      await taken?.job.complete();
    }
    expect(answers).to.deep.equal(['unfit', 'taken']);
  });

  it('is let go of when what it says cannot be read, and is a try of this member alone', async () => {
    const { head } = submissionOf(newTask({ ownerId: '' }));
    for (const odd of [{ ...head, operation: 'of a newer release' }, {}]) {
      const task = await enqueue('odd', { head: odd });
      const taken = await fetchAndClaim('odd');
      const answer = taken?.early?.answer;
      if (!taken?.early || !answer || !isRefusal(answer)) return expect.fail('it was read');
      expect(answer).to.deep.equal({ unreadable: 1 });
      const { taskId, jobId } = taken.job;
      const unused = (): never => expect.fail('the job is the requeue’s');
      const job = {
        taskId,
        jobId,
        early: null,
        complete: unused,
        fail: unused,
        later: unused,
        pass: unused,
      };
      const store = { redis: t.redis, keys: t.door.keys, log: silent };
      await refuse(store, { job, llmId: 'llm-1', poolKey: 'odd', claimId: taken.early.claimId }, answer);
      const fence = await t.fence(task);
      expect(fence?.state).to.equal('released');
      await taken.job.complete();
    }
  });

  it('is nobody’s where no job was fetched under its token', async () => {
    const task = await enqueue('none');
    const fetched = { poolKey: 'none', queue: queueOf('none'), token: randomUUID() };
    const store = { redis: t.redis, keys: t.door.keys };
    expect(await claimFetched(store, fetched, member('llm-1'))).to.equal(null);
    expect((await t.fence(task))?.claim).to.equal('');
  });
});
