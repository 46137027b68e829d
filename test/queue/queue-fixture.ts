import type { Keys } from '../../core/queue/keys.ts';
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { claimTask, type ClaimRef } from '../../core/queue/task/claim.ts';
import type { Submission } from '../../core/queue/task/submission.ts';
import { openRedis } from '../../core/queue/link/connect.ts';
import { redisPlaceOf } from '../../core/queue/link/where.ts';
import { openQueueDoor, type OpenedDoor } from '../../core/queue/door.ts';
import { Emitter } from '../../core/queue/task/emitter.ts';
import { readFences, type Fence } from '../../core/queue/task/fence.ts';
import { Fetchers } from '../../core/queue/jobs/fetchers.ts';
import { readPage, beginning, type Entry } from '../../core/queue/task/stream.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { loseRedis } from '../support/lose-redis.ts';
import { newTask, submissionOf } from '../support/tasks.ts';

export interface QueueFixture {
  door: OpenedDoor;
  /** A second connection, for looking and for harm. */
  redis: Redis;
  /** Over that connection. */
  fetchers: Fetchers;
  /** A task that was laid down and enqueued at epoch 1. */
  submitted(more?: Partial<Submission>): Promise<Submission>;
  /** What a member needs to take it. */
  claim(task: Submission, claimId?: string, llmId?: string): ReturnType<typeof claimTask>;
  emitter(
    task: Submission,
    claim: { claimId: string; epoch: number; eventBytes?: number },
    onLost?: () => void,
  ): Emitter;
  fence(task: Submission): Promise<Fence | null>;
  entries(task: Submission): Promise<Entry[]>;
  close(): Promise<void>;
}

const session = '00000000-0000-4000-8000-00000000000a';

export async function queueFixture(redisUrl = process.env['REDIS_URL'] ?? ''): Promise<QueueFixture> {
  const namespace = `t_${randomUUID().slice(0, 8)}`;
  const log = createLog({ process: 'test', level: 'silent', pretty: false });
  const place = {
    redisUrl,
    redisTlsVerify: true,
    redisCa: undefined,
    redisNodes: [],
    redisSentinels: [],
    redisSentinelName: '',
  };
  const options = { ...place, namespace, leaseMs: 5_000, eventKeepMs: 60_000 };
  const door = openQueueDoor({ ...options, clock: systemClock, log });
  await door.start?.();
  const redis = openRedis('commands', { ...redisPlaceOf(options), clock: systemClock, log });
  await redis.connect();
  const { keys } = door;
  const fetchers = new Fetchers({ redis, prefix: namespace, log });
  return {
    door,
    redis,
    fetchers,
    async submitted(more = {}) {
      const task = {
        ...submissionOf(newTask({ ownerId: '', streaming: true, requestBody: '{"messages":[]}' })),
        ...more,
      };
      await door.dispatch.enqueue(task);
      return task;
    },
    claim: (task, claimId = randomUUID(), llmId = 'llm-1') =>
      claimTask(
        { redis, keys },
        { ...task, jobId: `${task.taskId}-${task.epoch}` },
        { claimId, session, boot: 'b1', llmId },
      ),
    emitter(task, { claimId, epoch, eventBytes = 1_000_000 }, onLost = () => undefined) {
      const claim: ClaimRef = { taskId: task.taskId, poolKey: task.poolKey, claimId, epoch };
      return new Emitter({ redis, keys, claim, eventBytes, eventKeepMs: 60_000, onLost });
    },
    async fence(task) {
      return (await readFences(redis, keys, [task]))[0] ?? null;
    },
    async entries(task) {
      const { stream } = keys.pool(task.poolKey).task(task.taskId);
      const all: Entry[] = [];
      for (;;) {
        const { entries, more } = await readPage(redis, stream, all.at(-1) ?? beginning);
        all.push(...entries);
        if (!more) return all;
      }
    },
    async close() {
      await fetchers.close();
      await loseRedis({ redisUrl, namespace });
      redis.disconnect();
      await door.stop();
    },
  };
}

/** Each key and channel that keys.ts makes, of whatever is called `id`: one that is added there is among them by itself. */
export function everyKey(keys: Keys, id: string): string[] {
  const namesIn = (of: unknown): string[] => {
    if (typeof of === 'string') return of.startsWith(`${keys.namespace}:`) ? [of] : [];
    if (typeof of === 'function') return namesIn((of as (...given: string[]) => unknown)(id, id));
    return typeof of === 'object' && of !== null ? Object.values(of).flatMap(namesIn) : [];
  };
  return [...new Set(namesIn(keys))];
}
