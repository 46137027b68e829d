import { Redis } from 'ioredis';
import { createKeys } from '../../core/queue/keys.ts';
import type { Sandbox } from './sandbox.ts';

/** Looks at what Redis knows of those who wait for a task. */
export interface Attachments {
  /** How many hold a lease on the task's going on. */
  count(poolKey: string, taskId: string): Promise<number>;
  /** What happens when the last one leaves, as the fence says it. */
  policy(poolKey: string, taskId: string): Promise<string | null>;
  /** Whether the task's events are still there. */
  hasEvents(poolKey: string, taskId: string): Promise<boolean>;
  /** For how long they stay there, in milliseconds. */
  eventsStayMs(poolKey: string, taskId: string): Promise<number>;
  close(): void;
}

export function openAttachments({ redisUrl, namespace }: Sandbox): Attachments {
  const redis = new Redis(redisUrl);
  const keys = createKeys(namespace);
  return {
    count: (poolKey, taskId) => redis.zcard(keys.pool(poolKey).task(taskId).attached),
    policy: (poolKey, taskId) => redis.hget(keys.pool(poolKey).task(taskId).fence, 'policy'),
    hasEvents: async (poolKey, taskId) => (await redis.exists(keys.pool(poolKey).task(taskId).stream)) === 1,
    eventsStayMs: (poolKey, taskId) => redis.pttl(keys.pool(poolKey).task(taskId).stream),
    close: () => redis.disconnect(),
  };
}
