import type { Job, Worker } from 'bullmq';
import { createLiveness } from '../../../core/flow/alive/liveness.ts';
import { openQueueDoor, type OpenedDoor } from '../../../core/queue/door.ts';
import { createFetcher, LOCK_MS, type JobData } from '../../../core/queue/jobs/jobs.ts';
import { announce } from '../../../core/queue/live/presence.ts';
import { redisNow } from '../../../core/queue/live/redis-time.ts';
import { createBus } from '../../../core/runtime/bus.ts';
import { systemClock, type Clock } from '../../../core/runtime/clock.ts';
import { readConfig } from '../../../core/runtime/settings/config.ts';
import { createLog } from '../../../core/runtime/log.ts';
import type { NewTask } from '../../../core/registry/tasks/insert-tasks.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import { OpenPools } from '../../../scheduler/open-pools.ts';
import { schedulerSettings, type DutyDeps } from '../../../scheduler/duties/duty.ts';
import { loseRedis } from '../../support/lose-redis.ts';
import { remember, turnBack, type Moment } from '../../support/turn-back.ts';
import { registryFixture, type RegistryFixture } from '../../support/registry.ts';
import { newTask } from '../../support/tasks.ts';
import type { Tools } from './stoppable.ts';

export const POOL = 'p';
export const SESSION = '00000000-0000-4000-8000-00000000000a';

/** A Redis, a Postgres and two members of one pool; every process in it is played by the test. */
export interface House extends RegistryFixture {
  queue: OpenedDoor;
  tools: Tools;
  members: readonly string[];
  fetchers: readonly Worker<JobData>[];
  /** What edges and duties need, over some tools. */
  flow(tools: Tools, by: 'edge' | 'scheduler'): DutyDeps['flow'];
  dutyDeps(tools: Tools): DutyDeps;
  newTask(source: TaskRow['source']): NewTask;
  /** Both members say that they serve. */
  present(): Promise<void>;
  /** Everything of ours is gone, as after FLUSHALL. */
  loseRedis(): Promise<void>;
  /** What Redis holds now, to be turned back to. */
  remember(): Promise<Moment>;
  /** Another process of Redis, which holds what it did then: its last writes are lost. */
  loseTail(to: Moment): Promise<void>;
  /** Time passes: jobs taken, ends and rows are old; `beats` of these tasks too, or of all that run. */
  age(beats?: readonly string[]): Promise<void>;
  end(): Promise<void>;
}

const OLD_MS = 10_000;

export async function openHouse(): Promise<House> {
  const t = await registryFixture();
  const log = createLog({ process: 'test', level: 'silent', pretty: false });
  const env = { DATABASE_URL: t.databaseUrl, REDIS_URL: t.redisUrl, MCPCTL_REDIS_NAMESPACE: t.namespace };
  const config = readConfig(env, schedulerSettings);
  const queue = openQueueDoor({ ...config, clock: systemClock, log });
  await queue.start?.();
  const { redis, keys } = queue;
  const offers = ['a', 'b'].map((name) => t.offer(name, { poolName: POOL }));
  const { llms } = await t.registry.sessions.register(t.publication(t.ada, offers, { sessionId: SESSION }));
  const members = llms.map((llm) => llm.id);
  const place = { prefix: keys.namespace, name: keys.pool(POOL).queue() };
  const fetchers = members.map(() => createFetcher(redis, place));
  // Every duty of a history is new; the brake's ten seconds of blindness are over for it.
  const clock: Clock = { ...systemClock, elapsed: () => systemClock.elapsed() + 3_600_000 };
  const bus = createBus(log);

  const flow: House['flow'] = ({ registry, queue: { dispatch, presence } }, by) => {
    const liveness = createLiveness({ registry, presence, leaseMs: config.leaseMs });
    return { registry, dispatch, liveness, bus, by };
  };
  const house: House = {
    ...t,
    queue,
    tools: { registry: t.registry, queue },
    members,
    fetchers,
    flow,
    dutyDeps: (tools) => ({
      config,
      ...tools,
      flow: flow(tools, 'scheduler'),
      pools: new OpenPools({ ...tools, clock }),
      clock,
      log,
    }),
    newTask: (source) => newTask({ source, poolKey: POOL, streaming: true, ownerId: t.ada.id }),
    async present() {
      await redis.set(keys.epoch, '1');
      await queue.presence.hold(SESSION, 'b1');
      const serving = { sessionId: SESSION, boot: 'b1', slots: 2, running: 0, state: 'serving' } as const;
      for (const llmId of members)
        await announce({ redis, keys, leaseMs: 60_000 }, { poolKey: POOL, llmId, announcement: serving });
    },
    loseRedis: () => loseRedis(t),
    remember: () => remember(t),
    async loseTail(to) {
      await turnBack(t, to);
      // Where nobody had counted yet, the count says so.
      if ((await redis.exists(keys.generation)) === 1) await redis.hset(keys.generation, 'run', 'another');
    },
    age: (beats) => age({ t, queue }, beats),
    async end() {
      await Promise.all(fetchers.map((fetcher) => fetcher.close(true)));
      await queue.stop();
      await t.close();
    },
  };
  return house;
}

async function age(
  { t, queue: { redis, keys } }: { t: RegistryFixture; queue: OpenedDoor },
  beats?: readonly string[],
): Promise<void> {
  await t.connection.db.raw(`update tasks set created_at = now() - interval '1 minute'`);
  const pool = keys.pool(POOL);
  const old = String((await redisNow(redis)) - OLD_MS);
  const [running, ended, active] = await Promise.all([
    redis.zrange(pool.run, '0', '-1'),
    redis.zrange(pool.ended, '0', '-1'),
    redis.lrange(`${keys.namespace}:${pool.queue()}:active`, 0, -1),
  ]);
  const pipeline = redis.pipeline();
  for (const id of running) if (!beats || beats.includes(id)) pipeline.zadd(pool.run, 'XX', old, id);
  for (const id of ended) pipeline.zadd(pool.ended, 'XX', old, id);
  for (const job of active)
    pipeline.pexpire(`${keys.namespace}:${pool.queue()}:${job}:lock`, LOCK_MS - OLD_MS, 'LT');
  await pipeline.exec();
}

/** A job, as BullMQ gives it out. */
export type Taken = Job<JobData>;
