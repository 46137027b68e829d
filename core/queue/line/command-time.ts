import type { Redis } from 'ioredis';
import { LARGEST_ANSWER_BYTES } from '../../text/large-body.ts';
import { msFor, unseenMs } from '../../runtime/time-of-bytes.ts';

/**
 * Silence while an answer is due: so a half-open connection is noticed, in the handshake too. A second over the
 * deadline of a command and twice the blocking pop; a healed worker beats again before it is taken for dead.
 */
export const SOCKET_TIMEOUT_MS = 3_000;
/** How long those wait for the answer to a command who would rather fail. */
export const COMMAND_TIMEOUT_MS = 2_000;

/** Of the work, and of the way. */
const timeOf = (bytes: number): number => msFor(bytes) + unseenMs(bytes);

/** What a command that is given just now may carry, either way; each connection's own. */
const carried = new WeakMap<Redis, number>();

/**
 * Makes a connection's limits of time grow with bytes: what is still to be written before an answer can come, and what a
 * command of `carrying` brings. ioredis asks for both whenever it begins to count.
 */
export function growWithBytes(redis: Redis): void {
  const { options } = redis;
  const isLimited = options.commandTimeout !== undefined;
  Object.defineProperties(options, {
    socketTimeout: {
      enumerable: true,
      get: () =>
        SOCKET_TIMEOUT_MS + timeOf((redis.stream as typeof redis.stream | undefined)?.writableLength ?? 0),
    },
    commandTimeout: {
      enumerable: true,
      get: () => (isLimited ? COMMAND_TIMEOUT_MS + timeOf(carried.get(redis) ?? 0) : undefined),
    },
  });
}

/** Commands that are given while `give` runs, which is not awaited, have the time that so many bytes take. */
export function carrying<T>(redis: Redis, bytes: number, give: () => T): T {
  carried.set(redis, bytes);
  try {
    return give();
  } finally {
    carried.delete(redis);
  }
}

/** The same for one that may bring the end of a task, with all that was answered. */
export const bringing = <T>(redis: Redis, give: () => T): T => carrying(redis, LARGEST_ANSWER_BYTES, give);
