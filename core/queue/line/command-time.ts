import type { Redis } from 'ioredis';
import { msFor, unseenMs } from '../../runtime/time-of-bytes.ts';

/**
 * Silence while an answer is due: so a half-open connection is noticed, in the handshake too. A second over the
 * deadline of a command and twice the blocking pop; a healed worker beats again before it is taken for dead.
 */
export const SOCKET_TIMEOUT_MS = 3_000;
/** How long those wait for the answer to a command who would rather fail; what is large goes another way (wide.ts). */
export const COMMAND_TIMEOUT_MS = 2_000;

/**
 * Makes a connection's limit of silence grow with what is still to be written before an answer can come. ioredis asks for
 * it whenever it begins to count.
 */
export function growWithBytes(redis: Redis): void {
  Object.defineProperty(redis.options, 'socketTimeout', {
    enumerable: true,
    get: () => {
      const bytes = (redis.stream as typeof redis.stream | undefined)?.writableLength ?? 0;
      return SOCKET_TIMEOUT_MS + msFor(bytes) + unseenMs(bytes);
    },
  });
}
