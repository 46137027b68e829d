import type { Redis } from 'ioredis';
import { orUnavailable } from './connect.ts';
import type { Keys } from './keys.ts';

/** What BullMQ keeps of a queue beside its jobs. */
const OWN = [
  'wait',
  'active',
  'prioritized',
  'pc',
  'delayed',
  'paused',
  'waiting-children',
  'completed',
  'failed',
  'stalled',
  'stalled-check',
  'marker',
  'meta',
  'id',
  'events',
  'limiter',
  'repeat',
] as const;
/** Finished jobs that are kept for the board are fewer (jobs.ts). */
const MOST = 1_000;

/**
 * Removes what is left of a queue that nobody takes from any more, unless jobs wait or run in it.
 * @param queue its BullMQ name. @returns whether it is gone.
 */
export async function forgetQueue(redis: Redis, keys: Keys, queue: string): Promise<boolean> {
  const prefix = `${keys.namespace}:${queue}:`;
  const look = redis.pipeline().exists(`${prefix}wait`, `${prefix}prioritized`, `${prefix}active`);
  look.zrange(`${prefix}completed`, '0', String(MOST)).zrange(`${prefix}failed`, '0', String(MOST));
  const [open, completed, failed] = (await orUnavailable(look.exec())) ?? [];
  if (open?.[0] || Number(open?.[1]) > 0) return false;
  const jobs = [completed?.[1], failed?.[1]].flatMap((ids) => (Array.isArray(ids) ? ids.map(String) : []));
  const gone = [...OWN, ...jobs.flatMap((id) => [id, `${id}:lock`, `${id}:logs`])];
  await orUnavailable(redis.unlink(...gone.map((name) => prefix + name)));
  return true;
}
