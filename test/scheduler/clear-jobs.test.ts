import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { v7 } from 'uuid';
import { createBus } from '../../core/runtime/bus.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { readConfig } from '../../core/runtime/config.ts';
import { createFetcher } from '../../core/queue/jobs.ts';
import { createClearJobsDuty } from '../../scheduler/duties/clear-jobs.ts';
import { schedulerSettings, type Duty } from '../../scheduler/duties/duty.ts';
import { flowOf } from '../../edge/deps.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';

const head = { operation: 'chat', streaming: false, headers: {}, llmName: 'p', runMs: 60_000 } as const;
const policy = { onDisconnect: 'continue', graceSeconds: null } as const;

describe('the duty clear-jobs', () => {
  let t: EdgeFixture;
  let duty: Duty;
  const run = () => duty.run(new AbortController().signal);

  before(async () => {
    t = await edgeFixture();
    await t.registry.sessions.register(t.publication(t.ada, [t.offer('p')]));
    const env = { DATABASE_URL: t.databaseUrl, REDIS_URL: t.redisUrl };
    const { liveness, clock, log, registry, queue } = t.deps;
    const flow = { ...flowOf(t.deps), liveness, bus: createBus(log) };
    const door = { ...queue, presence: t.deps.presence, name: 'redis', stop: () => undefined };
    duty = createClearJobsDuty({
      config: readConfig(env, schedulerSettings),
      registry,
      queue: door,
      flow,
      clock: clock ?? systemClock,
      log,
    });
  });
  after(() => t.close());

  const submit = async (): Promise<string> => {
    const id = v7();
    await t.registry.tasks.insert({
      id,
      operation: 'chat',
      source: 'async',
      poolKey: 'p',
      llmName: 'p',
      pin: null,
      streaming: false,
      priority: 'interactive',
      requestBody: '{}',
      requestHash: 'h',
      head,
      queueMs: 60_000,
      onDisconnect: 'continue',
      graceSeconds: null,
      retention: 'keep',
      ownerId: t.ada.id,
      tokenId: randomUUID(),
    });
    const work = { epoch: 1, body: '{}', head, priority: 'interactive', waitMs: 60_000, policy } as const;
    await t.deps.queue.dispatch.enqueue({ taskId: id, poolKey: 'p', ...work });
    return id;
  };
  const closeRow = (id: string) =>
    t.registry.tasks.close(id, { status: 'cancelled', code: 'task_cancelled', message: 'gone' });
  const standing = async (): Promise<string[]> => {
    const { redis, keys } = t.deps.queue;
    const prefix = `${keys.namespace}:${keys.pool('p').queue()}`;
    const lists = [redis.lrange(`${prefix}:wait`, 0, -1), redis.lrange(`${prefix}:active`, 0, -1)];
    return (await Promise.all(lists)).flat().map((job) => job.slice(0, 36));
  };

  it('removes what waits, or is held by a worker that is dead, for a task that is over; the second time it sees it', async () => {
    const [held, over, open] = [await submit(), await submit(), await submit()];
    const { redis, keys } = t.deps.queue;
    const fetcher = createFetcher(redis, { prefix: keys.namespace, name: keys.pool('p').queue() });
    const job = await fetcher.getNextJob('a dead worker', { block: false });
    expect(job?.data.T).to.equal(held);
    for (const id of [held, over]) await closeRow(id);
    expect(await run()).to.equal(0);
    expect(await standing()).to.have.members([held, over, open]);
    expect(await run()).to.equal(2);
    expect(await standing()).to.deep.equal([open]);
    expect(await run()).to.equal(0);
    await fetcher.close(true);
  });
});
