import type { Redis } from 'ioredis';
import { orUnavailable } from './link/connect.ts';
import { mendAfter, mending } from './mend.ts';
import { byPool, type TaskRef } from './task/fence.ts';
import type { Keys } from './keys.ts';
import { runScript, tryScripts } from './scripts.ts';
import { parseEntry, SMALL_ENTRY_BYTES, type Entry } from './task/stream.ts';

/** The lists of a pool's tasks that somebody is to do something about, each by an instant. */
export type PoolIndex = 'run' | 'back' | 'ended' | 'orphans';

/** Pools that are asked about in one round trip. */
const TOGETHER = 500;

/**
 * Which of many pools may have something in one of these lists. @param together so many are asked about in one command, so that at
 * rest a thousand pools cost little more than one; a pool without any may then be among those with some, and none is left out.
 */
export async function poolsWithAny(
  { redis, keys }: { redis: Redis; keys: Keys },
  pools: readonly string[],
  { indexes, together }: { indexes: readonly PoolIndex[]; together: number },
): Promise<string[]> {
  if (pools.length === 0) return [];
  const pipeline = redis.pipeline();
  const groups: (readonly string[])[] = [];
  for (let at = 0; at < pools.length; at += together) {
    const some = pools.slice(at, at + together);
    groups.push(some);
    pipeline.exists(...some.flatMap((key) => indexes.map((index) => keys.pool(key)[index])));
  }
  const answers = (await orUnavailable(pipeline.exec())) ?? [];
  // One that cannot be asked is looked at: whoever looks tells what is wrong there.
  return groups.flatMap((some, at) => (answers[at]?.[0] || answers[at]?.[1] !== 0 ? some : []));
}

export interface IndexQuery {
  index: PoolIndex;
  /** Those whose instant is at most this, by Redis's clock. */
  upTo: number;
  /** Of each pool so many, those of the earliest instant first, after so many others. */
  most: number;
  skip: number;
}

/** Reads one list of many pools. A pool whose list cannot be read has nothing, and is told of. */
export async function readIndexes(
  { redis, keys }: { redis: Redis; keys: Keys },
  pools: readonly string[],
  { index, upTo, most, skip }: IndexQuery,
): Promise<{ refs: TaskRef[]; unread: Map<string, Error>; full: string[] }> {
  const indexed: { refs: TaskRef[]; unread: Map<string, Error>; full: string[] } = {
    refs: [],
    unread: new Map(),
    full: [],
  };
  for (let at = 0; at < pools.length; at += TOGETHER) {
    const some = pools.slice(at, at + TOGETHER);
    const pipeline = redis.pipeline();
    for (const poolKey of some)
      pipeline.zrangebyscore(
        keys.pool(poolKey)[index],
        '-inf',
        upTo === Infinity ? '+inf' : upTo,
        'LIMIT',
        skip,
        most,
      );
    const answers = (await orUnavailable(pipeline.exec())) ?? [];
    some.forEach((poolKey, i) => {
      const [error, ids] = answers[i] ?? [null, []];
      if (error) {
        indexed.unread.set(poolKey, error);
        void mendAfter(redis, [keys.pool(poolKey)[index]], error); // for the next look
      }
      if (!Array.isArray(ids)) return;
      for (const id of ids) indexed.refs.push({ taskId: String(id), poolKey });
      if (ids.length === most) indexed.full.push(poolKey);
    });
  }
  return indexed;
}

/** Strikes tasks from one list of their pools. */
export async function strike(
  redis: Redis,
  keys: Keys,
  { index, refs }: { index: PoolIndex; refs: readonly TaskRef[] },
): Promise<void> {
  const strikes = [...byPool(refs)].map(([poolKey, some]) => {
    const ids = some.map(({ taskId }) => taskId);
    const list = keys.pool(poolKey)[index];
    return mending(redis, [list], () => redis.zrem(list, ...ids));
  });
  await orUnavailable(Promise.all(strikes));
}

/** So many together, or so long after the first of them. */
const STRUCK_TOGETHER = 100;
const STRIKE_MS = 200;
/** How long the events of an ended task stay that nobody can ask for again: somebody may be reading them at their own pace. Milliseconds. */
export const ASKED_NO_MORE_MS = 60_000;

/** What an edge says of settled tasks, to whom a moment more or less is nothing: of many in one command. */
export interface Struck {
  /** They leave their pool's list of endings. */
  settled(ref: TaskRef): void;
  /** Their only reader has all of it, and nobody can ask for it again. */
  askedNoMore(ref: TaskRef): void;
}

/** What fails is left to the scheduler, and to the time that events are kept. */
export function createStruck(redis: Redis, keys: Keys): Struck {
  let pools = new Map<string, { ids: string[]; streams: string[] }>();
  let count = 0;
  let timer: NodeJS.Timeout | undefined;
  const go = (): void => {
    clearTimeout(timer);
    timer = undefined;
    count = 0;
    const all = pools;
    pools = new Map();
    for (const [poolKey, { ids, streams }] of all) {
      const call = { keys: [keys.pool(poolKey).ended, ...streams], args: [ASKED_NO_MORE_MS, ...ids] };
      runScript(redis, 'strike', call).catch(() => undefined);
    }
  };
  const add = (poolKey: string, kind: 'ids' | 'streams', name: string): void => {
    const pool = pools.get(poolKey) ?? { ids: [], streams: [] };
    pools.set(poolKey, pool);
    pool[kind].push(name);
    count += 1;
    timer ??= setTimeout(go, STRIKE_MS).unref();
    if (count >= STRUCK_TOGETHER) go();
  };
  return {
    settled: ({ poolKey, taskId }) => add(poolKey, 'ids', taskId),
    askedNoMore: ({ poolKey, taskId }) => add(poolKey, 'streams', keys.pool(poolKey).task(taskId).stream),
  };
}

/** When a task came into a list of its pool, by Redis's clock; null when it is in there no more. */
export async function instantIn(
  { redis, keys }: { redis: Redis; keys: Keys },
  { index, ref }: { index: PoolIndex; ref: TaskRef },
): Promise<number | null> {
  const score = await orUnavailable(redis.zscore(keys.pool(ref.poolKey)[index], ref.taskId));
  return score === null ? null : Number(score);
}

/** An entry that is to be read by itself. */
export interface LargeEntry {
  kind: 'large';
  bytes: number;
}

/** The last entry of many streams, large ones by their size alone; null where there is none. */
export async function readLasts(
  redis: Redis,
  keys: Keys,
  refs: readonly TaskRef[],
): Promise<(Entry | LargeEntry | null | Error)[]> {
  const calls = refs.map(({ poolKey, taskId }) => ({
    keys: [keys.pool(poolKey).task(taskId).stream],
    args: [SMALL_ENTRY_BYTES],
  }));
  const answers = await orUnavailable(tryScripts(redis, 'last', calls));
  return answers.map((answer) => {
    if (answer instanceof Error) return answer;
    if (!Array.isArray(answer) || !Array.isArray(answer[1])) return null;
    if (answer.length > 2) return { kind: 'large', bytes: Number(answer[2]) };
    return parseEntry(String(answer[0]), answer[1].map(String));
  });
}
