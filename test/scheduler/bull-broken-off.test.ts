import { createHash, randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { expect } from 'chai';
import { z } from 'zod';
import { claimTask, endClaim, handBack } from '../../core/queue/task/claim.ts';
import { Fetchers } from '../../core/queue/jobs/fetchers.ts';
import { openRedis, closeRedis, type Redis } from '../../core/queue/link/connect.ts';
import { bullScripts } from '../../core/queue/link/taught.ts';
import { redisPlaceOf } from '../../core/queue/link/where.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { isTerminal, type TaskRow } from '../../core/task/task.ts';
import type { Duty } from '../../scheduler/duties/duty.ts';
import { createDuties } from '../../scheduler/duties/index.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { textOf } from '../../core/queue/scripts.ts';
import { brokenOff, untaught } from '../support/failing-redis.ts';
import { dutyDeps, submitTask } from '../support/tasks.ts';

const REFUSED = "OOM command not allowed when used memory > 'maxmemory'.";
const DEEPEST = 40;
const completed = { kind: 'completed', status: 200, body: '{}' } as const;

interface Worked {
  task: TaskRow;
  fetchers: Fetchers;
  redis: Redis;
}

/** What a worker asks of BullMQ, or in its stead, and the script that it asks it by. */
const steps: Record<string, (t: EdgeFixture, worked: Worked) => Promise<unknown>> = {
  take: async (t, { task, fetchers, redis }) => {
    const { keys } = t.deps.queue;
    const by = { claimId: 'c', session: randomUUID(), boot: 'b', llmId: randomUUID() };
    const ref = { taskId: task.id, poolKey: task.poolName, jobId: `${task.id}-1` };
    const job = await fetchers.next([queueOf(t, task)], { keys, poolKey: task.poolName, by });
    const claimed = job?.early?.answer ?? (await claimTask({ redis, keys }, ref, by));
    expect(claimed).to.have.property('epoch', 1);
    const why = { counts: 'none', code: 'shutting_down', message: '' } as const;
    expect(await handBack({ redis, keys }, { ...ref, claimId: 'c', epoch: 1 }, why)).to.equal('ok');
  },
  moveToActive: (t, { task, fetchers, redis }) =>
    untaught(redis, 'take', () => fetchers.next([queueOf(t, task)])),
  moveToFinished: async (t, { task, fetchers, redis }) => {
    await fetchers.next([queueOf(t, task)]);
    const claim = { taskId: task.id, poolKey: task.poolName, claimId: 'c' };
    const by = { claimId: 'c', session: randomUUID(), boot: 'b', llmId: randomUUID() };
    await claimTask({ redis, keys: t.deps.queue.keys }, { ...claim, jobId: `${task.id}-1` }, by);
    await endClaim({ redis, keys: t.deps.queue.keys, eventKeepMs: 60_000 }, claim, completed);
    // As a relay does with the job of another process; one of its own goes by done.lua (test/queue/broken-off.test.ts).
    await fetchers.jobTakenElsewhere(queueOf(t, task), `${task.id}-1`).complete();
  },
  moveJobFromActiveToWait: async (t, { task, fetchers }) =>
    await (await fetchers.next([queueOf(t, task)]))?.putBack(),
};
const queueOf = (t: EdgeFixture, task: TaskRow): string => t.deps.queue.keys.pool(task.poolName).queue();

describe("a script of BullMQ's, or what does its work, that was broken off at any of its commands", function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  let redis: Redis;
  let fetchers: Fetchers;
  let all: readonly Duty[];
  before(async () => {
    t = await edgeFixture();
    const log = createLog({ process: 'test', level: 'silent', pretty: false });
    const place = redisPlaceOf({
      redisUrl: process.env['REDIS_URL'] ?? '',
      redisTlsVerify: true,
      redisCa: undefined,
      redisNodes: [],
      redisSentinels: [],
      redisSentinelName: '',
      namespace: t.deps.queue.keys.namespace,
    });
    all = createDuties(dutyDeps(t)).filter(({ name }) => duties.includes(name));
    redis = openRedis('commands', { ...place, clock: systemClock, log });
    await redis.connect();
    fetchers = new Fetchers({ redis, prefix: t.deps.queue.keys.namespace, log });
    await bullScripts(redis); // BullMQ defines them
  });
  after(async () => {
    await fetchers.close();
    closeRedis(redis);
    await t.close();
  });

  for (const [name, step] of Object.entries(steps))
    it(`leaves no job that nobody takes, and none that nobody ends: ${name}`, async () => {
      const tasks: TaskRow[] = [];
      for (let nth = 1; nth < DEEPEST; nth += 1) {
        const task = await submitTask(t, { poolKey: `${name}${String(nth)}` });
        // Others wait behind it: a list that is not empty says nothing of one job.
        await submitTask(t, { poolKey: `${name}${String(nth)}` });
        tasks.push(task);
        const isBroken = await breakingOff(redis, { name, nth }, () => step(t, { task, fetchers, redis }));
        if (!isBroken) break;
      }
      expect(tasks.length).to.be.within(4, DEEPEST - 1);
      await t.connection.db.raw(`update tasks set created_at = now() - interval '1 minute'`);
      await until(async () => {
        for (const duty of all) await duty.run(new AbortController().signal);
        for (const task of tasks) if (!(await isWell(task))) return false;
        return true;
      });
    });

  /** It ended and left nothing in its queue that is not kept for the board; or a member will take it. */
  const isWell = async (task: TaskRow): Promise<boolean> => {
    const prefix = `${t.deps.queue.keys.namespace}:${queueOf(t, task)}:`;
    const row = await t.registry.tasks.byId(task.id);
    const jobs = (await t.deps.queue.redis.keys(`${prefix}${task.id}-*`)).filter(
      (key) => !key.endsWith(':lock'),
    );
    const places = await Promise.all([
      t.deps.queue.redis.lrange(`${prefix}wait`, 0, -1),
      t.deps.queue.redis.zrange(`${prefix}prioritized`, '0', '-1'),
      t.deps.queue.redis.lrange(`${prefix}active`, 0, -1),
      t.deps.queue.redis.zrange(`${prefix}completed`, '0', '-1'),
    ]);
    const [wait = [], prioritized = [], active = [], kept = []] = places;
    const standing = [...wait, ...prioritized].filter((id) => id.startsWith(task.id));
    if (row && isTerminal(row.status))
      return (
        standing.length === 0 &&
        !active.some((id) => id.startsWith(task.id)) &&
        jobs.every((key) => kept.includes(key.slice(prefix.length)))
      );
    return standing.length === 1 && jobs.length === 1;
  };
});

const duties: readonly string[] = ['settle', 'reconcile', 'clear-jobs', 'hand-back'];

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const overAt = performance.now() + 12_000;
  while (!(await isSo())) if (performance.now() > overAt) expect.fail('it stayed so');
}

const folder = new URL('../../node_modules/bullmq/dist/esm/scripts/', import.meta.url);
const scriptSchema = z.object({ content: z.string(), keys: z.number() });
/** The text of one of BullMQ's scripts. */
async function scriptOf(name: string): Promise<z.infer<typeof scriptSchema>> {
  const file = readdirSync(folder).find((one) => one.startsWith(`${name}-`) && one.endsWith('.js')) ?? name;
  const module: unknown = await import(new URL(file, folder).href);
  const { content, keys } = z.record(z.string(), scriptSchema).parse(module)[name] ?? expect.fail(name);
  return { content: content.replaceAll('rcall = redis.call', 'rcall = call'), keys };
}

/** What stands in the way of the claim ends nothing: it is told as not decided. */
async function breakingOffTake(redis: Redis, nth: number, act: () => Promise<unknown>): Promise<boolean> {
  const sha = createHash('sha1').update(textOf('take')).digest('hex');
  // So far it came where it has one call less than it is to be broken off at.
  const text = brokenOff(textOf('take'), nth, REFUSED).replaceAll(
    'if left == 0 then ',
    "if left == 0 then redis.call('SET', '{broken}off', '1', 'PX', 60000) ",
  );
  const evalsha = redis.evalsha.bind(redis) as (...args: unknown[]) => Promise<unknown>;
  const instead = (asked: string, count: number, ...args: (string | number)[]): Promise<unknown> =>
    asked === sha ? redis.eval(text, count, ...args) : evalsha(asked, count, ...args);
  Object.assign(redis, { evalsha: instead });
  try {
    await redis.del('{broken}off');
    await act().catch(() => undefined);
  } finally {
    Object.assign(redis, { evalsha });
  }
  return (await redis.del('{broken}off')) === 1;
}

/** The first call of this script is broken off at its nth command. @returns whether it came so far. */
async function breakingOff(
  redis: Redis,
  { name, nth }: { name: string; nth: number },
  act: () => Promise<unknown>,
): Promise<boolean> {
  if (name === 'take') return await breakingOffTake(redis, nth, act);
  const { content, keys } = await scriptOf(name);
  const full = Object.keys(redis).find((key) => key.startsWith(`${name}:`)) ?? expect.fail(name);
  const run: unknown = Reflect.get(redis, full);
  let isBroken = false;
  const broken = async (args: (string | Buffer)[]): Promise<unknown> => {
    Object.assign(redis, { [full]: run });
    try {
      return await redis.eval(brokenOff(content, nth, REFUSED), keys, ...args);
    } catch (thrown) {
      isBroken = true;
      throw thrown;
    }
  };
  Object.assign(redis, { [full]: broken });
  try {
    await act().catch(() => undefined);
  } finally {
    Object.assign(redis, { [full]: run });
  }
  return isBroken;
}
