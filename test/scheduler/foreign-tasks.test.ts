import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { endDeadClaim } from '../../core/flow/end-dead.ts';
import { readFences } from '../../core/queue/task/fence.ts';
import { createHandBackDuty } from '../../scheduler/duties/hand-back.ts';
import { createSettleDuty } from '../../scheduler/duties/settle.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { dutyDeps, submitTask } from '../support/tasks.ts';

describe("what a worker may write in its own pool's keys", () => {
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());

  it('ends, hands back and reaps no task of another pool, and stops no duty', async () => {
    const { redis, keys } = t.deps.queue;
    const victim = await submitTask(t, { poolKey: 'theirs' });
    await submitTask(t, { poolKey: 'mine' }); // so that duties look there
    const mine = keys.pool('mine');
    const forged = mine.task(victim.id);
    const fence = {
      epoch: '1',
      claim: 'c',
      shown: '',
      job: `${victim.id}-1`,
      q: '',
      session: randomUUID(),
      boot: 'b',
    };
    await redis.hset(forged.fence, { ...fence, state: 'released', llm: randomUUID(), why: '{}' });
    const outcome = JSON.stringify({ kind: 'failed', code: 'internal', message: 'forged' });
    await redis.xadd(forged.stream, '1-1', 'e', outcome, 'c', 'c', 'at', '1');
    for (const list of [mine.ended, mine.back, mine.run])
      await redis.zadd(list, 1, victim.id, 1, 'no id at all');
    const before = await t.registry.tasks.byId(victim.id);
    const signal = new AbortController().signal;
    const deps = dutyDeps(t);
    await createSettleDuty(deps).run(signal);
    await createHandBackDuty(deps).run(signal);
    const [fenceOfDead] = await readFences(redis, keys, [{ taskId: victim.id, poolKey: 'mine' }]);
    const dead = fenceOfDead ?? expect.fail('no fence');
    for (const taskId of [victim.id, 'no id at all'])
      expect(await endDeadClaim(deps.flow, { taskId, poolKey: 'mine', fence: dead, why: 'silent' })).to.equal(
        'over',
      );
    expect(await t.registry.tasks.byId(victim.id)).to.deep.equal(before);
    expect(await redis.zrange(mine.ended, '0', '-1')).to.deep.equal([]);
    expect(await redis.zrange(mine.back, '0', '-1')).to.deep.equal([]);
  });
});
