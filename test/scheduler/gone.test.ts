import { expect } from 'chai';
import { claimTask, endClaim, handBack } from '../../core/queue/task/claim.ts';
import { jobIdOf } from '../../core/queue/task/submission.ts';
import { createDuties } from '../../scheduler/duties/index.ts';
import { openHouse, POOL, SESSION, type House } from '../model/histories/house.ts';
import { newTask, submissionOf } from '../support/tasks.ts';

const signal = new AbortController().signal;

describe('of a pool that is gone, and its llms,', () => {
  let t: House;
  before(async () => {
    t = await openHouse();
  });
  after(() => t.end());

  /** Of all keys of the installation: those that stay for good. */
  async function lasting(): Promise<string[]> {
    const { redis, keys } = t.queue;
    const all: string[] = [];
    for await (const some of redis.scanStream({ match: `${keys.namespace}:*`, count: 1_000 }))
      all.push(...(some as string[]));
    const lives = await Promise.all(all.map((key) => redis.pttl(key)));
    return all.filter((_, at) => lives[at] === -1).map((key) => key.slice(keys.namespace.length + 1));
  }
  const run = async (id: string, pin?: string) => {
    const task = newTask({ id, ownerId: t.ada.id, poolKey: POOL, pin: pin ?? null });
    await t.registry.tasks.insert(task);
    const sent = submissionOf(task);
    await t.queue.dispatch.enqueue(sent);
    const ref = { taskId: id, poolKey: POOL, jobId: jobIdOf(sent) };
    const by = { claimId: `claim of ${id}`, session: SESSION, boot: 'b1', llmId: pin ?? t.members[0] ?? '' };
    await claimTask(t.queue, ref, by);
    return { ...ref, claimId: by.claimId, epoch: 1 };
  };

  it('no key is left in Redis but what expires, whatever was under way when they went', async () => {
    const { redis, keys } = t.queue;
    const before = await lasting();
    const ended = { ...t.queue, eventKeepMs: 60_000 };
    const [id1, id2, id3, id4] = Array.from({ length: 4 }, () => newTask({ ownerId: t.ada.id }).id);
    await endClaim(ended, await run(id1 ?? ''), { kind: 'completed', status: 200, body: '{}' });
    await endClaim(ended, await run(id2 ?? '', t.members[1]), {
      kind: 'failed',
      code: 'backend_error',
      message: 'No.',
    });
    await handBack(t.queue, await run(id3 ?? ''), { counts: 'none', code: 'shutting_down', message: 'Bye.' });
    await run(id4 ?? '');
    expect((await lasting()).length, 'while it is there').to.be.greaterThan(before.length + 8);

    await t.connection.db('tasks').update({ status: 'cancelled', completedAt: t.connection.db.fn.now() });
    await t.connection.db('llms').delete();
    const duties = createDuties(t.dutyDeps(t.tools));
    for (let turn = 0; turn < 6; turn++) {
      // Whoever would have struck them from the pool's lists died long ago.
      const { run: running, ended: over, back, orphans } = keys.pool(POOL);
      for (const list of [running, over, back, orphans])
        for (const id of await redis.zrange(list, '0', '-1')) await redis.zadd(list, 'XX', '1', id);
      for (const duty of duties) await duty.run(signal);
    }
    const left = (await lasting()).filter((key) => !before.includes(key));
    expect(left.filter((key) => !['epoch', 'generation'].includes(key))).to.deep.equal([]);
  });
});
