import type { Redis } from 'ioredis';
import { z } from 'zod';
import { McpctlError } from '../../errors.ts';
import { orUnavailable } from '../link/connect.ts';
import { redisUnavailable } from '../trouble.ts';
import { fenceQuery, parseFence, type Fence, type TaskRef } from '../task/fence.ts';
import { LOCK_MS } from './jobs.ts';
import type { Keys } from '../keys.ts';
import { queryScripts, runScript } from '../scripts.ts';
import { parseEntry, readTop, SMALL_ENTRY_BYTES, type Entry } from '../task/stream.ts';

/** What Redis knows of a task that has not ended, all of one instant. */
export interface Look {
  fence: Fence;
  /** The last entry of its stream, where the fence says that it ended or was closed; null when Redis has lost it. */
  last: Entry | null;
  /** It is claimed, and its beats are listed where the reaper looks; or they are not. */
  running: boolean;
  /** Its job is where a member will take it from. */
  waiting: boolean;
  /** How long ago a member took the job that has not claimed it yet, by Redis's clock; null when none did. */
  takenMs: number | null;
}

const entrySchema = z.tuple([z.string(), z.array(z.string())]);
const lookSchema = z.union([
  z.tuple([]),
  z.tuple([z.array(z.string()), z.union([entrySchema, z.tuple([]), z.literal('large')]), z.string()]),
]);

/** Of one command: what a script does holds everybody up. */
const AT_ONCE = 100;

/** Looks at tasks of which Redis may have lost all: where many are to be looked at, those that are not there are found by one command for many. */
export async function lookAt(
  redis: Redis,
  keys: Keys,
  refs: readonly (TaskRef & { pin?: string | undefined })[],
): Promise<(Look | null | Error)[]> {
  if (refs.length < AT_ONCE) return await lookClosely(redis, keys, refs);
  const groups: (typeof refs)[] = [];
  for (let at = 0; at < refs.length; at += AT_ONCE) groups.push(refs.slice(at, at + AT_ONCE));
  const pipeline = redis.pipeline();
  for (const some of groups)
    pipeline.exists(...some.map(({ poolKey, taskId }) => keys.pool(poolKey).task(taskId).fence));
  const counts = (await orUnavailable(pipeline.exec())) ?? [];
  const isThere = groups.map((_, at) => counts[at]?.[1] !== 0);
  const there = await lookClosely(redis, keys, groups.filter((_, at) => isThere[at]).flat());
  let next = 0;
  return groups.flatMap((some, at) => some.map(() => (isThere[at] ? (there[next++] ?? null) : null)));
}

/** Looks at many tasks in one round trip, each by itself at one instant; null for one that has no fence, or a torn one, the error for one whose end, by itself, could not be read. */
async function lookClosely(
  redis: Redis,
  keys: Keys,
  refs: readonly (TaskRef & { pin?: string | undefined })[],
): Promise<(Look | null | Error)[]> {
  const calls = refs.map(({ taskId, poolKey, pin }) => {
    const pool = keys.pool(poolKey);
    const { fence, stream } = pool.task(taskId);
    const jobs = `${keys.namespace}:${pool.queue(pin)}:`;
    return {
      keys: [fence, stream, pool.run, `${jobs}wait`, `${jobs}prioritized`],
      args: [taskId, jobs, LOCK_MS, SMALL_ENTRY_BYTES, ...fenceQuery],
    };
  });
  const answers = await orUnavailable(queryScripts(redis, 'look', calls));
  if (answers.length !== refs.length) throw new McpctlError('unavailable');
  const looks: (Look | null | Error)[] = [];
  for (const [at, answer] of answers.entries()) {
    const seen = lookSchema.parse(answer);
    // It has ended: what is read of it by itself is what it was at that instant.
    const read = seen[1] === 'large' ? await readTop(redis, calls[at]?.keys[1] ?? '').catch(toError) : null;
    looks.push(read instanceof Error ? read : parseLook(seen, read));
  }
  return looks;
}

const toError = (thrown: unknown): Error => redisUnavailable(thrown);

function parseLook([flat, entry, place]: z.infer<typeof lookSchema>, large: Entry | null): Look | null {
  if (!flat) return null;
  const fence = parseFence(flat);
  if (!fence) return null;
  return {
    fence,
    last: entry === 'large' ? large : entry?.[0] === undefined ? null : parseEntry(entry[0], entry[1] ?? []),
    running: place === 'running',
    waiting: place === 'waiting',
    takenMs: place !== undefined && /^\d+$/.test(place) ? Number(place) : null,
  };
}

const oddSchema = z.array(z.int());

/**
 * Which of many open tasks are not simply at rest, for those who look at thousands: one command for some of them, and next
 * to nothing for each. What it tells is no ground to act on.
 */
export async function notAtRest<T extends TaskRef & { epoch: number; pin: string | null }>(
  redis: Redis,
  keys: Keys,
  tasks: readonly T[],
): Promise<T[]> {
  const odd: T[] = [];
  for (let at = 0; at < tasks.length; at += AT_ONCE) {
    const some = tasks.slice(at, at + AT_ONCE);
    const args = some.flatMap(({ poolKey, taskId, epoch, pin }) => [
      keys.pool(poolKey).hash,
      taskId,
      epoch,
      pin === null ? '' : `.${pin}`,
    ]);
    const call = { keys: [keys.epoch], args: [`${keys.namespace}:`, ...args] };
    const places = oddSchema.parse(await orUnavailable(runScript(redis, 'rest', call)));
    for (const place of places) odd.push(...some.slice(place - 1, place));
  }
  return odd;
}
