import type { Redis } from 'ioredis';
import { z } from 'zod';
import { wordOr } from '../../newer-words.ts';
import type { Attempt } from './attempt.ts';
import { orUnavailable } from '../link/connect.ts';
import type { Keys } from '../keys.ts';
import { runScript, tryScripts } from '../scripts.ts';
import { isForeign, redisUnavailable } from '../trouble.ts';

/** A task, as the queue addresses it. */
export interface TaskRef {
  taskId: string;
  /** The frozen pool key. */
  poolKey: string;
}

/** Those of one pool together, in the order that they came in. */
export function byPool<T extends TaskRef>(refs: readonly T[]): Map<string, T[]> {
  const pools = new Map<string, T[]>();
  for (const ref of refs) {
    const others = pools.get(ref.poolKey);
    if (others) others.push(ref);
    else pools.set(ref.poolKey, [ref]);
  }
  return pools;
}

/** The last instant that a `Date` holds. */
const LAST_MS = 8_640_000_000_000_000;
/** By Redis's clock. One that is none is not known. */
const instantSchema = z.coerce.number().min(0).max(LAST_MS).optional().catch(undefined);

/** As the scripts read one: what a session may have written there instead makes a fence torn. */
const wholeSchema = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number);

/** As the scripts bound it: none of ours is so long. */
const textSchema = z.string().max(256);

const fenceSchema = z.object({
  epoch: wholeSchema,
  /** The epoch of its row, where somebody allocated one for it and was too late to lay it down. */
  row: wholeSchema.optional().catch(undefined),
  /** One that is not known here is let be, like one that runs or waits: whoever wrote it decides about the task. */
  state: wordOr(['open', 'released', 'ended', 'closed'], 'open'),
  claim: textSchema,
  shown: textSchema,
  job: textSchema,
  q: textSchema,
  session: textSchema.default(''),
  boot: textSchema.default(''),
  llm: textSchema.default(''),
  /** Who holds the claimant's connection to Redis; beats over the sse transport may be late for longer. */
  via: wordOr(['redis', 'sse'], 'sse').default('redis'),
  /** Events so far, and the end. */
  seq: wholeSchema.default(0),
  claimedAt: instantSchema,
  firstAt: instantSchema,
  /** When what was asked was handed to whoever does it, where that is once; deliver.lua writes it. */
  deliveredAt: instantSchema,
  /** When it first came back to the queue, and with which epoch; requeue.lua writes it, and no other. */
  since: z
    .string()
    .regex(/^\d{1,15} \d{1,15}$/)
    .transform((text) => text.split(' ').map(Number))
    .transform(([at = 0, epoch = 0]) => ({ at, epoch }))
    .optional()
    .catch(undefined),
  /** Llm ids that failed it, joined by commas. */
  excluded: z.string().default(''),
  /** Llm ids that cannot do it, joined by commas. */
  unfit: z.string().default(''),
  /** What happens when nobody waits for it any more (core/task/disconnect.ts). */
  policy: z.string().default(''),
  /** What a hand-back says (core/task/hand-back.ts), as text. */
  why: z.string().default(''),
});
/** The fence of a task (`t:{P}:T:m`): who may speak for it. Written by the scripts alone. */
export type Fence = z.infer<typeof fenceSchema>;

/** The epoch at which the fence knows its row to be. A row beyond it was moved on by somebody who has yet to tell the fence. */
export function rowEpochOf({ epoch, row = 0 }: Pick<Fence, 'epoch' | 'row'>): number {
  return Math.max(epoch, row);
}

/** @param flat fields and values by turns, as HGETALL gives them to a script. @returns null for a torn one. */
export function parseFence(flat: readonly string[]): Fence | null {
  const hash: Record<string, string> = {};
  for (let i = 0; i + 1 < flat.length; i += 2) hash[flat[i] ?? ''] = flat[i + 1] ?? '';
  const parsed = fenceSchema.safeParse(hash);
  return parsed.success ? parsed.data : null;
}

/** More than any of its fields has: the ids of members that failed it, or cannot do it, and why it came back. */
const MOST_FIELD_BYTES = 16 * 1024;
/** What fence.lua and look.lua are asked: these fields alone, as a session may write any number of others beside them. */
export const fenceQuery: readonly (string | number)[] = [MOST_FIELD_BYTES, ...Object.keys(fenceSchema.shape)];

/** Reads many fences in one round trip; one that is missing, torn, or no fence at all is null. */
export async function readFences(
  redis: Redis,
  keys: Keys,
  refs: readonly TaskRef[],
): Promise<(Fence | null)[]> {
  const calls = refs.map((ref) => ({
    keys: [keys.pool(ref.poolKey).task(ref.taskId).fence],
    args: fenceQuery,
  }));
  const answers = await orUnavailable(tryScripts(redis, 'fence', calls));
  return answers.map((answer) => {
    if (answer instanceof Error && !isForeign(answer)) throw redisUnavailable(answer);
    return Array.isArray(answer) ? parseFence(answer.map(String)) : null;
  });
}

/** Who has the claim whose answer is shown. */
export interface Shown {
  llmId: string;
  claimedAt: Date | null;
}

const shownSchema = z.tuple([z.number()], z.string());

/**
 * Pins the claim of this attempt before the first byte of its answer goes to a caller.
 * @returns null when that claim may not be shown: it was handed back, replaced, or the task was closed.
 */
export async function show(
  redis: Redis,
  keys: Keys,
  { ref, attempt }: { ref: TaskRef; attempt: Attempt },
): Promise<Shown | null> {
  const task = keys.pool(ref.poolKey).task(ref.taskId);
  const args = [String(attempt.epoch), attempt.tag ?? ''];
  const answer = await orUnavailable(runScript(redis, 'show', { keys: [task.fence], args }));
  const [code, llmId = '', claimedAt = ''] = shownSchema.parse(answer);
  if (code !== 1) return null;
  const at = instantSchema.parse(claimedAt === '' ? undefined : claimedAt);
  return { llmId, claimedAt: at === undefined ? null : new Date(at) };
}
