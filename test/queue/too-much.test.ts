import { expect } from 'chai';
import { lookAt } from '../../core/queue/jobs/look.ts';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';

const sessionId = '00000000-0000-4000-8000-00000000000a';
const MANY = 5_000;

/** What a session may write into its own pool's keys in any number and size, and others read. */
describe('too much at a key of a pool', () => {
  let t: QueueFixture;
  before(async () => {
    t = await queueFixture();
  });
  after(() => t.close());

  const fields = (count: number, text: string): Record<string, string> =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`field ${String(n)}`, text]));
  const serve = (poolKey: string) =>
    t.door.presence.introduce({ sessionId, boot: 'b' }, [
      { poolKey, llmId: 'llm-1', slots: 1, state: 'serving' },
    ]);

  it('is not read as members: more than there are go, and who is there says so again', async () => {
    const { members } = t.door.keys.pool('crowd');
    await serve('crowd');
    await t.redis.hset(members, fields(MANY, '1 {}'));
    expect((await t.door.presence.members('crowd')).members).to.deep.equal([]);
    expect(await t.redis.exists(members)).to.equal(0);
    await serve('crowd');
    expect((await t.door.presence.members('crowd')).members).to.have.length(1);
    await t.redis.hset(members, fields(MANY, '1 {}'));
    await t.door.presence.drop(sessionId, ['crowd']);
    expect(await t.redis.exists(members)).to.equal(0);
    await t.redis.hset(members, fields(MANY, '1 {}'));
    await serve('crowd');
    expect(await t.redis.hlen(members), 'what who comes goes through').to.equal(1);
  });

  it('is not read as a member: one that is larger goes, the others stay', async () => {
    const { members } = t.door.keys.pool('large');
    await serve('large');
    await t.redis.hset(members, fields(2, 'x'.repeat(1_000_000)));
    expect((await t.door.presence.members('large')).members).to.have.length(1);
    expect(await t.redis.hlen(members)).to.equal(1);
  });

  it('is not gone through as a list of jobs: who comes then gets a turn behind it', async () => {
    const first = await t.submitted({ poolKey: 'list', ownerId: 'a' });
    const queue = t.door.keys.pool('list').queue();
    const wait = `${t.door.keys.namespace}:${queue}:wait`;
    await t.redis.rpush(wait, ...Array.from({ length: MANY }, (_, n) => `job ${String(n)}`));
    const other = await t.submitted({ poolKey: 'list', ownerId: 'b' });
    expect(await t.redis.llen(wait)).to.equal(MANY + 1);
    expect(await t.redis.zcard(`${t.door.keys.namespace}:${queue}:prioritized`)).to.equal(1);
    await t.redis.ltrim(wait, 0, 0);
    for (const { taskId } of [first, other]) {
      const job = await t.fetchers.next([queue]);
      expect(job?.taskId).to.equal(taskId);
      await job?.complete();
    }
  });

  it('is not read as a fence: nothing beside its own fields, and of those none that is larger', async () => {
    const task = await t.submitted({ poolKey: 'fence' });
    const { fence } = t.door.keys.pool('fence').task(task.taskId);
    await t.redis.hset(fence, { ...fields(MANY, 'x'), why: 'x'.repeat(1_000_000) });
    expect(await t.fence(task)).to.include({ epoch: 1, state: 'open', why: '' });
    const [look] = await lookAt(t.door.redis, t.door.keys, [task]);
    expect(look).to.include({ waiting: true }).and.to.have.nested.property('fence.why', '');
    await t.redis.hset(fence, 'claim', 'x'.repeat(1_000_000));
    expect(await t.fence(task), 'torn').to.equal(null);
    expect(await lookAt(t.door.redis, t.door.keys, [task])).to.deep.equal([null]);
    // Whoever brings a task again that has no fence puts one in its place.
    expect(await t.door.dispatch.enqueue({ ...task, epoch: 2 }, null)).to.equal(true);
    expect(await t.fence(task)).to.include({ epoch: 2, claim: '' });
  });
});
