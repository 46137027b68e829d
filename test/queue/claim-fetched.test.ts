import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { claimFetched, isRefusal, type EarlyClaim } from '../../core/queue/task/claim.ts';
import { refuse } from '../../core/queue/jobs/refuse.ts';
import { createLog } from '../../core/runtime/log.ts';
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

  const claimBy = (poolKey: string, llmId: string) => (token: string) => {
    const by = { claimId: randomUUID(), session: randomUUID(), boot: 'b', llmId };
    const queue = t.door.keys.pool(poolKey).queue();
    return claimFetched({ redis: t.redis, keys: t.door.keys }, { poolKey, queue, token }, by);
  };
  const fetchAndClaim = async (poolKey: string, llmId = 'llm-1') => {
    const job = await t.fetchers.next(t.door.keys.pool(poolKey).queue(), claimBy(poolKey, llmId));
    return job && { job, early: (await job.beside) ?? null };
  };
  const enqueue = async (poolKey: string, more = {}) => {
    const task = { ...submissionOf(newTask({ ownerId: '', poolKey, requestBody: poolKey })), ...more };
    await t.door.dispatch.enqueueNew(task);
    return task;
  };

  it('is for the task of that very job, however many are fetched at once', async () => {
    const tasks = await Promise.all(Array.from({ length: 40 }, () => enqueue('many')));
    const taken = await Promise.all(tasks.map(() => fetchAndClaim('many')));
    expect(new Set(taken.map((one) => one?.job.taskId)).size).to.equal(40);
    // Whoever stood behind sixteen others asks once more, by the name of the job.
    const early = taken.flatMap((one) => (one?.early ? [{ ...one, early: one.early }] : []));
    expect(early.length).to.be.at.least(16);
    for (const { job, early: claim } of early) {
      const task = tasks.find(({ taskId }) => taskId === job.taskId);
      expect(claim.answer).to.deep.include({ epoch: 1, body: 'many' });
      expect(task && (await t.fence(task))?.claim).to.equal(claim.claimId);
    }
  });

  it('says why not, as one that is asked for by name', async () => {
    const answers: EarlyClaim['answer'][] = [];
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
      if (!taken?.early || answer === undefined || !isRefusal(answer)) return expect.fail('it was read');
      expect(answer).to.deep.equal({ unreadable: 1 });
      const { taskId, jobId } = taken.job;
      const unused = (): never => expect.fail('the job is the requeue’s');
      const job = {
        taskId,
        jobId,
        claim: undefined,
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
    expect(await claimBy('none', 'llm-1')(randomUUID())).to.equal(null);
    expect((await t.fence(task))?.claim).to.equal('');
  });
});
