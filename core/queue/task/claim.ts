import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { HandBack } from '../../task/hand-back.ts';
import { onOneLine } from '../../text/json-text.ts';
import type { Outcome } from '../../task/outcome.ts';
import { heldHeadSchema, type TaskHead } from '../../task/head.ts';
import type { TaskRef } from './fence.ts';
import type { Keys } from '../keys.ts';
import { runScript } from '../scripts.ts';
import { parseEntry } from './stream.ts';

export interface ClaimRef extends TaskRef {
  claimId: string;
  epoch: number;
}

export interface Claimed {
  epoch: number;
  /** Of a large one how many bytes it has: it is in the task's row. */
  body: string | RestingBody;
  head: TaskHead;
}

export interface RestingBody {
  bytes: number;
}

export interface Claimant {
  claimId: string;
  session: string;
  boot: string;
  llmId: string;
  /** Whose the member is: their tasks go before others' of the same priority. Nobody's do where it is not known. */
  owner?: string | undefined;
  /** Who holds the connection to Redis: the worker itself (unless told), or a relay on its behalf. */
  via?: 'redis' | 'sse';
}

const FENCE_MS = 10 * 60_000;
const answerSchema = z.array(z.string());

/**
 * Why a member may not have a task: `absent` (the fence is gone: the reconciler brings the task again), `closed`, `taken`,
 * `stale` (an old job), `unfit` (it cannot do it: pass it on), `held` (its
 * session is to take nothing new); how often a member that had failed it met it; or, as it was
 * claimed but what it says is of another release or no task at all, the epoch in which it is to be let go of again.
 */
export type Refusal =
  'absent' | 'closed' | 'taken' | 'stale' | 'unfit' | 'held' | { met: number } | { unreadable: number };

export const isRefusal = (answer: Claimed | Refusal): answer is Refusal =>
  typeof answer === 'string' || 'met' in answer || 'unreadable' in answer;

interface Store {
  redis: Redis;
  keys: Keys;
}

/** Takes a task for one member. */
export async function claimTask(
  store: Store,
  ref: TaskRef & { jobId: string },
  by: Claimant,
): Promise<Claimed | Refusal> {
  const pool = store.keys.pool(ref.poolKey);
  const task = pool.task(ref.taskId);
  const keys = [pool.run, task.fence, task.input];
  return readClaim(await askForClaim(store, by, { keys, args: [ref.taskId, ref.jobId] }));
}

/** A claim that was asked for together with the job, before anybody here knew which task that is. */
export interface EarlyClaim {
  claimId: string;
  /** Null: it could not be decided, and is to be asked for by name under the same id. */
  answer: Claimed | Refusal | null;
}

/** Takes the task of the job that was fetched just now under a token. @returns null when no job was. */
export async function claimFetched(
  store: Store,
  fetched: { poolKey: string; queue: string; token: string },
  by: Claimant,
): Promise<EarlyClaim | null> {
  const pool = store.keys.pool(fetched.poolKey);
  const jobs = `${store.keys.namespace}:${fetched.queue}:`;
  const { fence, input } = pool.task('*');
  const args = [fetched.token, jobs, fence, input];
  const answer = await askForClaim(store, by, { keys: [pool.run, `${jobs}active`], args });
  return answer[0] === 'none' ? null : { claimId: by.claimId, answer: readClaim(answer) };
}

async function askForClaim(
  { redis }: Store,
  by: Claimant,
  { keys, args }: { keys: string[]; args: string[] },
): Promise<string[]> {
  const call = { keys, args: [...claimantWords(by), ...args] };
  return answerSchema.parse(await runScript(redis, 'claim', call));
}

/** Who claims, as the scripts are told. */
export const claimantWords = (by: Claimant): (string | number)[] => [
  by.claimId,
  by.session,
  by.boot,
  by.llmId,
  FENCE_MS,
  by.via ?? 'redis',
];

export function readClaim([kind, epoch, body, head, bytes = '']: readonly string[]): Claimed | Refusal {
  switch (kind) {
    case 'ok':
      return readTask(Number(epoch), bytes === '' ? (body ?? '') : { bytes: Number(bytes) }, head ?? '');
    case 'excluded':
      return { met: Number(epoch) };
    case 'closed':
    case 'taken':
    case 'stale':
    case 'unfit':
    case 'held':
      return kind;
    case undefined:
    default:
      return 'absent';
  }
}

/** Written by an edge, perhaps of a newer release, or by whoever else can write to Redis. */
function readTask(epoch: number, body: Claimed['body'], text: string): Claimed | Refusal {
  try {
    return { epoch, body, head: heldHeadSchema.parse(JSON.parse(text)) };
  } catch {
    return { unreadable: epoch };
  }
}

/**
 * Tells that a claim still runs. @returns false when it is no longer current: abort the run.
 * @param aheadMs for how long the next beat may be held up, behind what is large on the same connection.
 */
export async function beat(
  { redis, keys }: { redis: Redis; keys: Keys },
  claim: ClaimRef,
  aheadMs = 0,
): Promise<boolean> {
  const pool = keys.pool(claim.poolKey);
  const task = pool.task(claim.taskId);
  const answer = await runScript(redis, 'beat', {
    keys: [task.fence, task.stream, pool.run],
    args: [claim.claimId, claim.taskId, FENCE_MS, aheadMs],
  });
  return answer === 1;
}

/**
 * Says one event of a claim, for a worker that sends each by itself. @param seq undefined = the next one.
 * @returns false when the claim is no longer current.
 */
export async function emitOne(
  deps: { redis: Redis; keys: Keys; eventBytes: number; eventKeepMs: number },
  claim: ClaimRef,
  { seq, data }: { seq: number | undefined; data: string },
): Promise<boolean> {
  const task = deps.keys.pool(claim.poolKey).task(claim.taskId);
  const answer = await runScript(deps.redis, 'emit', {
    keys: [task.fence, task.stream],
    args: [claim.claimId, seq ?? 0, deps.eventKeepMs, deps.eventBytes, task.channel, 1, onOneLine(data)],
  });
  return answer === 1;
}

/** The last events of a claim, newest first. */
export async function lastEvents(
  { redis, keys }: { redis: Redis; keys: Keys },
  claim: ClaimRef,
  most: number,
): Promise<string[]> {
  const { stream } = keys.pool(claim.poolKey).task(claim.taskId);
  const entries = await redis.xrevrange(stream, '+', '-', 'COUNT', most);
  const events = entries.flatMap(([id, fields]) => {
    const entry = parseEntry(id, fields);
    return entry?.kind === 'events' ? entry.data.toReversed() : [];
  });
  return events.slice(0, most);
}

/** Pins a claim before what was asked is handed on: it is never started over. @returns false when it is no longer current. */
export async function deliverClaim(
  { redis, keys }: { redis: Redis; keys: Keys },
  claim: TaskRef & { claimId: string },
): Promise<boolean> {
  const { fence } = keys.pool(claim.poolKey).task(claim.taskId);
  return (await runScript(redis, 'deliver', { keys: [fence], args: [claim.claimId] })) === 1;
}

/** Lets go of a task that nobody has seen anything of. @returns `shown` when it must be ended instead. */
export async function handBack(
  { redis, keys }: { redis: Redis; keys: Keys },
  claim: ClaimRef,
  why: HandBack,
): Promise<'ok' | 'lost' | 'shown'> {
  const pool = keys.pool(claim.poolKey);
  const task = pool.task(claim.taskId);
  const answer = await runScript(redis, 'handback', {
    keys: [task.fence, pool.run, pool.back],
    args: [claim.claimId, claim.taskId, task.channel, JSON.stringify(why)],
  });
  if (answer === -3) return 'shown';
  return answer === 1 ? 'ok' : 'lost';
}

/**
 * The last word of a claim, said by its worker, or for one that is dead. Sent twice it changes nothing.
 * @param claim.events how many it has said, where that is known: Redis must still hold as many.
 * @returns false when that claim is no longer current, or the task was closed.
 */
export async function endClaim(
  { redis, keys, eventKeepMs }: { redis: Redis; keys: Keys; eventKeepMs: number },
  claim: TaskRef & { claimId: string; events?: number | undefined },
  outcome: Outcome,
): Promise<boolean> {
  const pool = keys.pool(claim.poolKey);
  const task = pool.task(claim.taskId);
  const answer = await runScript(redis, 'end', {
    keys: [task.fence, task.stream, task.input, pool.run, pool.ended, task.attached, pool.orphans],
    args: [
      claim.claimId,
      claim.taskId,
      JSON.stringify(outcome),
      eventKeepMs,
      task.channel,
      claim.events ?? '',
    ],
  });
  return answer === 1;
}
