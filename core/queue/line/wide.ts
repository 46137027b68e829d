import type { Redis } from 'ioredis';
import { isLarge, msFor, unseenMs } from '../../runtime/time-of-bytes.ts';
import { SOCKET_TIMEOUT_MS } from './command-time.ts';

/** One that nothing goes over for so long is closed. */
const IDLE_MS = 10_000;

/** What is large of one may wait behind what is large of others; not all of it behind the largest. */
const MOST_WIDE = 4;

/** A further connection of somebody: what is large goes and comes over it, so that nothing small waits behind that. */
interface Wide {
  redis: Redis;
  /** Commands under way, and what they carry. */
  running: number;
  bytes: number;
  silenceMs: number;
  closing: NodeJS.Timeout | undefined;
}

interface Way {
  open: () => Redis;
  close: (wide: Redis) => void;
  wides: Wide[];
}

const ways = new WeakMap<Redis, Way>();

/** @param how opens a further connection of `redis`, when it is needed first, and closes it for good. */
export function mayBeWide(redis: Redis, how: Pick<Way, 'open' | 'close'>): void {
  const way: Way = { ...how, wides: [] };
  ways.set(redis, way);
  redis.on('end', () => way.wides.splice(0).forEach((wide) => closeWide(way, wide)));
}

/** With the connection that it belongs to, for good: what runs over it fails. */
function closeWide(way: Way, wide: Wide): void {
  way.wides = way.wides.filter((other) => other !== wide);
  clearTimeout(wide.closing);
  way.close(wide.redis);
}

/** Runs what sends so many bytes; over a further connection of `redis` where that is much, and there may be one. */
export async function sending<T>(redis: Redis, bytes: number, run: (over: Redis) => Promise<T>): Promise<T> {
  return isLarge(bytes) ? await overWide(redis, bytes, run) : await run(redis);
}

/** Runs what sends or brings so many bytes over a further connection of `redis`, where there may be one. */
export async function overWide<T>(redis: Redis, bytes: number, run: (over: Redis) => Promise<T>): Promise<T> {
  const way = ways.get(redis);
  if (!way) return await run(redis);
  const wide = freestOf(way);
  clearTimeout(wide.closing);
  wide.running += 1;
  wide.bytes += bytes;
  giveTime(wide, bytes);
  try {
    return await run(wide.redis);
  } finally {
    wide.running -= 1;
    wide.bytes -= bytes;
    if (wide.running === 0) closeLater(way, wide);
  }
}

/** One that carries nothing, a new one while there may be more, or the one with the least before it. */
function freestOf(way: Way): Wide {
  let freest: Wide | undefined;
  for (const wide of way.wides) if (!freest || wide.bytes < freest.bytes) freest = wide;
  if (freest && (freest.running === 0 || way.wides.length >= MOST_WIDE)) return freest;
  const wide = openWide(way);
  way.wides.push(wide);
  return wide;
}

/** Bytes that move keep it: nothing else is written to it, so silence means that nobody takes what was. */
function openWide({ open }: Way): Wide {
  const wide: Wide = {
    redis: open(),
    running: 0,
    bytes: 0,
    silenceMs: SOCKET_TIMEOUT_MS,
    closing: undefined,
  };
  wide.redis.on('connect', () => {
    const { stream } = wide.redis;
    const silent = (): void => {
      if (wide.running > 0)
        stream.destroy(new Error('Redis is silent: nothing comes of what is large, and nothing is taken.'));
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
  if (!way.wides.includes(wide)) return; // closed meanwhile
  wide.closing = setTimeout(() => closeWide(way, wide), IDLE_MS).unref();
}
