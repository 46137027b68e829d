import { createHash } from 'node:crypto';
import { RedisConnection } from 'bullmq';
import type { Redis } from 'ioredis';
import { pause } from '../../runtime/clock.ts';
import { mending } from '../mend.ts';

/**
 * Connections of sessions' own users run what Redis was taught, by its hash, and bring no script: who may send any script
 * at all may hold Redis up for everybody. Edges and the scheduler teach it, and again after Redis was lost.
 */
const byHashOnly = new WeakSet<Redis>();
/** The Lua that BullMQ has defined on each connection, by its name there: `moveToActive:6.7.0`. */
const definedOn = new WeakMap<Redis, Map<string, string>>();

/** The scripts of BullMQ that a worker may run (fetchers.ts). */
const OF_WORKERS = /^(moveToActive|moveToFinished|moveJobFromActiveToWait):/;

const AGAIN_MS = 250;
const TRIES = 20;

export const mayTeach = (redis: Redis): boolean => !byHashOnly.has(redis);

/** Redis does not know this script by its hash. */
export const isUntaught = (thrown: unknown): boolean =>
  thrown instanceof Error && thrown.message.startsWith('NOSCRIPT');

/** Runs a script by its hash; while Redis does not know it, again and again for 5 s. */
export async function onceTaught<T>(run: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await run();
    } catch (thrown) {
      if (tried === TRIES || !isUntaught(thrown)) throw thrown;
      await pause(AGAIN_MS);
    }
  }
}

/** How BullMQ calls a script: its keys come first. */
type Run = (args: (string | Buffer | number)[]) => Promise<unknown>;

/**
 * Notes what BullMQ defines on this connection. ioredis sends a script's text with its first call on each socket; over a
 * connection that may bring none (`byHash`) the hash alone is sent. Where something else stands in the place of a queue's
 * key it is taken away, as our own scripts do it.
 */
export function noteBullScripts(redis: Redis, { byHash }: { byHash: boolean }): void {
  const defined = new Map<string, string>();
  definedOn.set(redis, defined);
  if (byHash) byHashOnly.add(redis);
  const define = redis.defineCommand.bind(redis);
  redis.defineCommand = (name, definition) => {
    defined.set(name, definition.lua);
    const count = definition.numberOfKeys ?? 0;
    const sha = createHash('sha1').update(definition.lua).digest('hex');
    if (!byHash) define(name, definition);
    const own: unknown = Reflect.get(redis, name);
    const run: Run = (args) =>
      typeof own === 'function'
        ? (own as Run).call(redis, args)
        : onceTaught(() => redis.evalsha(sha, count, ...args));
    const mended: Run = (args) => mending(redis, args.slice(0, count).map(String), () => run(args));
    Object.assign(redis, { [name]: mended });
  };
}

/** The text of BullMQ's scripts that workers run, to be taught. @param redis one that `openRedis` opened. */
export async function bullScripts(redis: Redis): Promise<string[]> {
  const defined = definedOn.get(redis);
  // Once a connection: each such object listens to it for ever.
  if (![...(defined?.keys() ?? [])].some((name) => OF_WORKERS.test(name))) {
    const connection = new RedisConnection(redis, { shared: true, blocking: false, skipVersionCheck: true });
    connection.on('error', () => undefined); // openRedis logs what its connection meets
    await connection.client;
  }
  return [...(defined ?? [])].flatMap(([name, lua]) => (OF_WORKERS.test(name) ? [lua] : []));
}
