import type { Redis } from 'ioredis';
import { isLarge, msFor, unseenMs } from '../../runtime/time-of-bytes.ts';
import { SOCKET_TIMEOUT_MS } from './command-time.ts';

/** One that nothing goes over for so long is closed. */
const IDLE_MS = 10_000;

/** The second connection of somebody: what is large goes over it, so that nothing small waits behind that. */
interface Wide {
  redis: Redis;
  /** Commands under way. */
  running: number;
  silenceMs: number;
  closing: NodeJS.Timeout | undefined;
}

interface Way {
  open: () => Redis;
  close: (wide: Redis) => void;
  wide?: Wide | undefined;
}

const ways = new WeakMap<Redis, Way>();

/** @param how opens the second connection of `redis`, when it is needed first, and closes it for good. */
export function mayBeWide(redis: Redis, how: Pick<Way, 'open' | 'close'>): void {
  const way: Way = { ...how };
  ways.set(redis, way);
  redis.on('end', () => closeWide(way));
}

/** With the connection that it belongs to, for good: what runs over it fails. */
function closeWide(way: Way): void {
  const { wide } = way;
  if (!wide) return;
  way.wide = undefined;
  clearTimeout(wide.closing);
  way.close(wide.redis);
}

/** Runs what sends so many bytes; over the second connection of `redis` where that is much, and there may be one. */
export async function sending<T>(redis: Redis, bytes: number, run: (over: Redis) => Promise<T>): Promise<T> {
  const way = isLarge(bytes) ? ways.get(redis) : undefined;
  if (!way) return await run(redis);
  const wide = (way.wide ??= openWide(way));
  clearTimeout(wide.closing);
  wide.running += 1;
  giveTime(wide, bytes);
  try {
    return await run(wide.redis);
  } finally {
    wide.running -= 1;
    if (wide.running === 0) closeLater(way, wide);
  }
}

/** Bytes that move keep it: nothing else is written to it, so silence means that nobody takes what was. */
function openWide({ open }: Way): Wide {
  const wide: Wide = { redis: open(), running: 0, silenceMs: SOCKET_TIMEOUT_MS, closing: undefined };
  wide.redis.on('connect', () => {
    const { stream } = wide.redis;
    const silent = (): void => {
      if (wide.running > 0) stream.destroy(new Error('Redis takes nothing of what is sent.'));
      else stream.setTimeout(wide.silenceMs);
    };
    stream.setTimeout(wide.silenceMs).on('timeout', silent);
  });
  return wide;
}

/** Silence may last longer than the work takes, and than the last of them may be on their way unseen. */
function giveTime(wide: Wide, bytes: number): void {
  const silenceMs = SOCKET_TIMEOUT_MS + msFor(bytes) + unseenMs(bytes);
  if (wide.running > 1 && silenceMs <= wide.silenceMs) return;
  wide.silenceMs = silenceMs;
  const stream = wide.redis.stream as typeof wide.redis.stream | undefined;
  stream?.setTimeout(silenceMs);
}

function closeLater(way: Way, wide: Wide): void {
  if (way.wide !== wide) return; // closed meanwhile
  wide.closing = setTimeout(() => closeWide(way), IDLE_MS).unref();
}
