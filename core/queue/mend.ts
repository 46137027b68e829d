import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { kindOf, queueKeysBeside } from './kinds.ts';

const lua = readFileSync(new URL('./scripts/mend.lua', import.meta.url), 'utf8');
const sha = createHash('sha1').update(lua).digest('hex');

/** How often one call is sent again: each time something else may stand in its way. */
const TIMES = 3;

/** Redis says it of a key of another kind, and of a script that could not go on with what it found there. */
const isAboutKeys = (thrown: unknown): boolean =>
  thrown instanceof Error && /^WRONGTYPE|^ERR .*@?user_script/.test(thrown.message);

/**
 * Asks Redis for something about our keys. Where one of them is of another kind than we make it, as a session may put one in
 * its own pool, it is taken away, and the same is asked again: what was there is lost, and comes again as after a Redis that
 * came back empty. So it harms whom it belonged to, once, and nobody has to find it.
 */
export async function mending<T>(redis: Redis, keys: readonly string[], ask: () => Promise<T>): Promise<T> {
  for (let left = TIMES; ; left -= 1) {
    try {
      return await ask();
    } catch (thrown) {
      if (left === 0 || !isAboutKeys(thrown) || !(await mend(redis, keys))) throw thrown;
    }
  }
}

/** The same for a command of a pipeline: `failed` is what it said. @returns whether it is worth asking again. */
export async function mendAfter(redis: Redis, keys: readonly string[], failed: unknown): Promise<boolean> {
  return isAboutKeys(failed) && (await mend(redis, keys));
}

/** Takes away what is of another kind at these keys, and at those of the queues that they are of. @returns whether anything was. */
async function mend(redis: Redis, keys: readonly string[]): Promise<boolean> {
  const all = [...new Set(keys.flatMap((key) => [key, ...queueKeysBeside(key)]))];
  const entries = all.flatMap((key) => {
    const kind = kindOf(key);
    return kind === undefined ? [] : [{ key, kind }];
  });
  if (entries.length === 0) return false;
  const args = [...entries.map(({ key }) => key), ...entries.map(({ kind }) => kind)];
  try {
    return Number(await run(redis, entries.length, args)) > 0;
  } catch {
    return false; // what was met first says more
  }
}

async function run(redis: Redis, count: number, args: readonly string[]): Promise<unknown> {
  try {
    return await redis.evalsha(sha, count, ...args);
  } catch (thrown) {
    if (!(thrown instanceof Error && thrown.message.startsWith('NOSCRIPT'))) throw thrown;
    return await redis.eval(lua, count, ...args); // a session's own user may not, and leaves it to an edge
  }
}
