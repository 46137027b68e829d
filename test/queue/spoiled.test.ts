import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { MarkerMux } from '../../core/queue/jobs/marker-mux.ts';
import { markerOf } from '../../core/queue/jobs/markers.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { kindOf, queueKeyNames, type Kind } from '../../core/queue/kinds.ts';
import { lookAt } from '../../core/queue/jobs/look.ts';
import type { Submission } from '../../core/queue/task/submission.ts';
import { show } from '../../core/queue/task/fence.ts';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';
import { idOf, nameOf, ways, type Way } from './ways.ts';

/** `MCPCTL_RUNS` of 4 and more: each kind at each key before each script; else each meets a part of the others. */
const ALL = Number(process.env['MCPCTL_RUNS'] ?? 1) >= 4;
const kinds: readonly Kind[] = ['string', 'list', 'hash', 'set', 'zset', 'stream'];
/** What a session may write in the place of a value that we made. */
const values = ['', 'x', '-1', '1e300', 'nan', '9'.repeat(20), 'y'.repeat(100_000)];
const completed = { kind: 'completed', status: 200, body: '{}' } as const;

const put: Record<Kind, (redis: Redis, key: string) => Promise<unknown>> = {
  string: (redis, key) => redis.set(key, 'x'),
  list: (redis, key) => redis.rpush(key, 'x'),
  hash: (redis, key) => redis.hset(key, 'x', 'x'),
  set: (redis, key) => redis.sadd(key, 'x'),
  zset: (redis, key) => redis.zadd(key, 1, 'x'),
  stream: (redis, key) => redis.xadd(key, '1-1', 'x', 'x'),
};

/** All keys of this pool, of this task in it, and of a session and an llm of it. */
function keysOf({ door }: QueueFixture, task: Submission): string[] {
  const { poolKey, taskId } = task;
  const { keys } = door;
  const its = keys.pool(poolKey);
  const { channel: _channel, ...ofTask } = its.task(taskId);
  const queue = `${keys.namespace}:${its.queue()}:`;
  const ofQueue = [...queueKeyNames, `${taskId}-1`, `${taskId}-1:lock`].map((name) => queue + name);
  const ofPool = [its.run, its.ended, its.back, its.orphans, its.members];
  const ours = [...Object.values(ofTask), ...ofPool, its.turns('interactive'), its.turns('background')];
  return [...ours, keys.lease(idOf(task)), keys.wake(idOf(task)), ...ofQueue];
}

/** The whole life of another task of the same pool. */
async function live(t: QueueFixture, poolKey: string): Promise<void> {
  const task = await t.submitted({ poolKey });
  const { keys, redis, dispatch, presence } = t.door;
  const [sessionId, llmId] = [idOf(task), idOf(task)];
  await presence.introduce({ sessionId, boot: 'b' }, [{ poolKey, llmId, slots: 1, state: 'serving' }]);
  const queue = keys.pool(poolKey).queue();
  // A consumer that met an error looks once more.
  const next = () => t.fetchers.next([queue]).catch(() => t.fetchers.next([queue]));
  let job = await next();
  // Others may stand before it.
  for (let n = 0; n < 4 && job && job.taskId !== task.taskId; n += 1) {
    await job.complete();
    job = await next();
  }
  // What a fetch, or an add, was broken off with the reconciler finds.
  const epoch = job?.taskId === task.taskId ? 1 : 2;
  if (epoch === 2) {
    expect(await lookAt(redis, keys, [task])).to.have.nested.property('[0].waiting', false);
    const seen = { epoch: 1, claim: '', job: `${task.taskId}-1`, newEpoch: 2 };
    expect(await dispatch.requeue(task, seen)).to.equal('ok');
    job = await next();
  }
  expect(job?.taskId).to.equal(task.taskId);
  expect(await t.claim(task, 'c2')).to.have.property('epoch');
  const emitter = t.emitter(task, { claimId: 'c2', epoch });
  await emitter.emit('"one"');
  await emitter.flush();
  expect(await show(redis, keys, { ref: task, attempt: { epoch } })).to.not.equal(null);
  expect(await emitter.end(completed)).to.equal(true);
  await job?.complete();
  await dispatch.forgetEnded(task);
  const { members } = await presence.members(poolKey);
  expect(members.map((one) => one.sessionId)).to.include(sessionId);
  expect((await t.fence(task))?.state).to.equal('ended');
  expect(await redis.zscore(keys.pool(poolKey).ended, task.taskId)).to.equal(null);
}

describe('what a session has put in the place of a key of its pool', function () {
  this.timeout(ALL ? 120_000 : 20_000);
  let t: QueueFixture;
  before(async () => {
    t = await queueFixture();
  });
  after(() => t.close());

  const prepared = async (way: Way): Promise<Submission> => {
    const task = await t.submitted({ poolKey: randomUUID() });
    await way.before(t, task);
    return task;
  };
  /** May come to nothing; but no error of Redis or of a script comes of it, and others of the pool go on. */
  const expectHarmless = async (way: Way, task: Submission, what: string): Promise<void> => {
    try {
      await way.act(t, task);
      await live(t, task.poolKey);
    } catch (thrown) {
      expect.fail(
        `${nameOf(way)}, ${what}: ${String(thrown)} ${String((thrown as Error).cause)} ${String((thrown as Error).stack)}`,
      );
    }
  };

  for (const [at, way] of ways.entries())
    it(`harms nothing else, once, where it is of another kind: ${nameOf(way)}`, async () => {
      const places = keysOf(t, await prepared(way)).length;
      const all = Array.from({ length: places }, async (_, place) => {
        const others = kinds.filter((kind) => kind !== kindOf(keysOf(t, anybody)[place] ?? ''));
        if (!ALL && (at + place) % 3 > 0) return;
        const some = ALL ? others : [others[(at + place) % others.length] ?? 'set'];
        for (const kind of some) {
          const task = await prepared(way);
          const key = keysOf(t, task)[place] ?? '';
          await t.redis.del(key);
          await put[kind](t.redis, key);
          await expectHarmless(way, task, `${kind} at ${key}`);
        }
      });
      await Promise.all(all);
    });

  for (const [at, way] of ways.entries())
    it(`harms nothing else where its values are none of ours: ${nameOf(way)}`, async () => {
      const first = await prepared(way);
      const hashes = (task: Submission): string[] => keysOf(t, task).filter((key) => kindOf(key) === 'hash');
      const all = hashes(first).map(async (hash, place) => {
        const fields = await t.redis.hkeys(hash);
        for (const [nth, field] of fields.entries()) {
          if (!ALL && (at + place + nth) % 3 > 0) continue;
          const some = ALL ? values : [values[(at + place + nth) % values.length] ?? 'x'];
          for (const value of some) {
            const task = await prepared(way);
            await t.redis.hset(hashes(task)[place] ?? '', field, value);
            await expectHarmless(way, task, `${field} = ${value.slice(0, 20)} at ${hash}`);
          }
        }
      });
      await Promise.all(all);
    });
});

describe('a marker of one pool that is of another kind', () => {
  it('holds up nobody who waits for others over the same connection', async () => {
    const t = await queueFixture();
    const { keys } = t.door;
    const log = createLog({ process: 'test', level: 'silent', pretty: false });
    const [commands, blocking] = [t.redis, t.redis.duplicate()];
    const mux = new MarkerMux({ commands, blocking, keys, id: randomUUID(), clock: systemClock, log });
    const [bad, good] = ['bad', 'good'].map((pool) => keys.pool(pool).queue());
    try {
      await commands.set(markerOf(keys, bad ?? ''), 'x');
      await mux.start();
      const over = new AbortController();
      const waits = [bad, good].map((queue) => mux.markers.wait([queue ?? ''], over.signal));
      await mux.markers.passOn(good ?? '');
      expect(await waits[1]).to.equal(good);
      over.abort();
      await Promise.all(waits);
      expect(await commands.type(markerOf(keys, bad ?? ''))).to.equal('none');
    } finally {
      await mux.stop();
      await t.close();
    }
  });
});

const anybody = { poolKey: 'p', taskId: 't' } as Submission;
