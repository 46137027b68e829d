import type { Redis } from 'ioredis';
import { graceMsOf, policyText, type Policy } from '../../task/disconnect.ts';
import { LARGE_BODY_BYTES } from '../../text/large-body.ts';
import type { Priority } from '../../task/task.ts';
import type { KeptHead } from '../../task/head.ts';
import type { Fence, TaskRef } from './fence.ts';
import type { Keys } from '../keys.ts';
import { sending } from '../line/wide.ts';
import { orUnavailable } from '../link/connect.ts';
import { trySeveral, type ScriptCall } from '../scripts.ts';
import {
  BACKGROUND_SCORE,
  JOB_NAME,
  MOST_ALONE,
  TURNS_KEPT_MS,
  writtenJob,
  type Turns,
} from '../jobs/turns.ts';
import { WAITER_LEASE_MS } from './waiters.ts';

export interface Submission extends TaskRef {
  epoch: number;
  /** Owners of a queue take turns. */
  ownerId: string;
  body: string;
  head: KeptHead;
  priority: Priority;
  /** The llm id of a pinned task. */
  pin?: string | undefined;
  /** How long the task may wait; the fence lives a little longer. */
  waitMs: number;
  /** What happens when nobody waits for it any more. */
  policy: Policy;
  /** The first who waits: their lease begins with the task. */
  attachment?: string | undefined;
  /** The edge that waits for it, where it hears of the task by its channel of the pool (link/pool-channels.ts). */
  edge?: string | undefined;
}

/** How long members that may have too little room leave a task to those that have more. */
const SPARED_MS = 5_000;

/** A fence, and what was asked, outlive the waiting by so much. */
export const FENCE_MARGIN_MS = 10 * 60_000;

export const jobIdOf = ({ taskId, epoch }: Pick<Submission, 'taskId' | 'epoch'>): string =>
  `${taskId}-${epoch}`;

/** What enqueue.lua is asked. @param seen as for `Dispatch.enqueue`. @param turns where it is written down who has had turns. @param withJob adds an interactive job, if it waits for no other owner's. */
export function laying(
  keys: Keys,
  turns: string,
  {
    task: s,
    seen,
    withJob = false,
  }: { task: Submission; seen?: Pick<Fence, 'epoch' | 'claim'> | null | undefined; withJob?: boolean },
): ScriptCall {
  const pool = keys.pool(s.poolKey);
  const task = pool.task(s.taskId);
  const queue = `${keys.namespace}:${pool.queue(s.pin)}`;
  const bytes = Buffer.byteLength(s.body);
  const isLarge = bytes > LARGE_BODY_BYTES;
  const jobId = jobIdOf(s);
  const addsJob = withJob && s.priority === 'interactive';
  return {
    keys: [
      task.fence,
      task.input,
      task.stream,
      task.attached,
      pool.orphans,
      `${queue}:wait`,
      `${queue}:prioritized`,
      turns,
      ...(addsJob ? [`${queue}:${jobId}`, `${queue}:marker`, `${queue}:meta`] : []),
    ],
    args: [
      s.epoch,
      jobId,
      s.pin === undefined ? '' : `.${s.pin}`,
      s.waitMs + FENCE_MARGIN_MS,
      isLarge ? '' : s.body,
      JSON.stringify(s.head),
      s.taskId,
      policyText(s.policy),
      graceMsOf(s.policy) ?? '',
      s.attachment ?? '',
      WAITER_LEASE_MS,
      (s.head.unfit ?? []).join(),
      seen === undefined ? '' : seen === null ? 'none' : `${seen.epoch} ${seen.claim}`,
      s.priority,
      BACKGROUND_SCORE,
      isLarge ? bytes : '',
      (s.head.spared ?? []).join(),
      SPARED_MS,
      s.ownerId,
      TURNS_KEPT_MS,
      MOST_ALONE,
      s.edge ?? '',
      ...(addsJob ? writtenJob(s.taskId, { jobId }) : []),
    ],
  };
}

/** Of one call: what a script does holds everybody up. */
const AT_ONCE = 50;
const MOST_BYTES = 256 * 1024;

/** A task that is laid down. @param seen the fence that this was decided by, null = there was none. */
export interface Laid {
  submission: Submission;
  seen: Pick<Fence, 'epoch' | 'claim'> | null;
}

interface Store {
  redis: Redis;
  keys: Keys;
  turns: Turns;
}

/** As `Dispatch.enqueueMany`. */
export async function layMany(store: Store, many: readonly Laid[]): Promise<(boolean | Error)[]> {
  const fresh = many.filter(({ seen }) => seen === null);
  const havePlace = await layFresh(
    store,
    fresh.map(({ submission }) => submission),
  );
  const placed = new Set(fresh.filter((_, at) => havePlace[at]));
  const rest = many.filter((one) => !placed.has(one));
  const answers = await layEach(store, rest);
  let next = 0;
  return many.map((one) => placed.has(one) || (answers[next++] ?? false));
}

/** One script for each of the two steps of a task, all in one round trip. */
async function layEach({ redis, keys, turns }: Store, many: readonly Laid[]): Promise<(boolean | Error)[]> {
  if (many.length === 0) return [];
  const calls = many.flatMap(({ submission: s, seen }) => [
    { name: 'enqueue' as const, ...laying(keys, turns.keyOf(s), { task: s, seen }) },
    { name: 'turn' as const, ...turns.adding(s, jobIdOf(s)) },
  ]);
  let bytes = 0;
  for (const { submission } of many) bytes += submission.body.length;
  const answers = await orUnavailable(sending(redis, bytes, (over) => trySeveral(over, calls)));
  return many.map((_, at) => {
    const [laid, added] = [answers[at * 2], answers[at * 2 + 1]];
    if (laid instanceof Error) return laid;
    return added instanceof Error ? added : Number(laid) >= 0;
  });
}

/**
 * Lays down tasks that Redis has nothing of, those of one queue together (lay.lua): for whoever brings back all that it lost.
 * @returns of each whether it has its place; one that has not is left to enqueue.lua and turn.lua, which go on with it.
 */
async function layFresh(
  { redis, keys, turns }: Store,
  submissions: readonly Submission[],
): Promise<boolean[]> {
  const groups = groupsOf(submissions);
  const calls = groups.map(({ places, owners }) => {
    const tasks = places.flatMap((at) => submissions[at] ?? []);
    return layingOf(keys, turns, { tasks, areOfOneOwner: owners.size === 1 });
  });
  let bytes = 0;
  for (const { body } of submissions) bytes += body.length;
  const named = calls.map((call) => ({ name: 'lay' as const, ...call }));
  const answers = await orUnavailable(sending(redis, bytes, (over) => trySeveral(over, named)));
  const hasPlace = submissions.map(() => false);
  groups.forEach(({ places }, n) => {
    const answer = answers[n];
    if (Array.isArray(answer)) places.forEach((at, i) => (hasPlace[at] = answer[i] === 1));
  });
  return hasPlace;
}

/** Of one queue and priority; `owners` are those of all groups of it. */
interface Group {
  places: number[];
  bytes: number;
  owners: Set<string>;
}

/** Places of tasks of the same queue and priority, in their order. */
function groupsOf(submissions: readonly Submission[]): Group[] {
  const lastOf = new Map<string, Group>();
  const groups: Group[] = [];
  submissions.forEach(({ poolKey, pin = '', priority, ownerId, body }, at) => {
    const queue = `${priority} ${pin} ${poolKey}`;
    let group = lastOf.get(queue);
    if (!group || group.places.length >= AT_ONCE || group.bytes + body.length > MOST_BYTES) {
      group = { places: [], bytes: 0, owners: group?.owners ?? new Set() };
      lastOf.set(queue, group);
      groups.push(group);
    }
    group.places.push(at);
    group.bytes += body.length;
    group.owners.add(ownerId);
  });
  return groups;
}

/** What lay.lua is asked. @internal tests break it off */
export function layingOf(
  keys: Keys,
  turns: Turns,
  { tasks, areOfOneOwner }: { tasks: readonly Submission[]; areOfOneOwner: boolean },
): ScriptCall {
  const [first] = tasks;
  if (!first) return { keys: [], args: [] };
  const { queue, turnsKey, least, end, priority } = turns.placesOf(first);
  const pool = keys.pool(first.poolKey);
  const places = [`${queue}:wait`, `${queue}:prioritized`, turnsKey, `${queue}:marker`, `${queue}:meta`];
  const suffix = first.pin === undefined ? '' : `.${first.pin}`;
  const call = {
    keys: [pool.orphans, ...places],
    args: [
      least,
      end,
      TURNS_KEPT_MS,
      MOST_ALONE,
      suffix,
      priority,
      JOB_NAME,
      WAITER_LEASE_MS,
      areOfOneOwner ? '1' : '',
    ] as (string | number)[],
  };
  for (const s of tasks) {
    const jobId = jobIdOf(s);
    const { fence, input, stream } = pool.task(s.taskId);
    call.keys.push(fence, input, stream, `${queue}:${jobId}`);
    const bytes = Buffer.byteLength(s.body);
    const isLarge = bytes > LARGE_BODY_BYTES;
    const [, data, options] = writtenJob(s.taskId, { ...turns.optionsOf(s, true), jobId });
    call.args.push(s.taskId, s.epoch, jobId, s.waitMs + FENCE_MARGIN_MS);
    call.args.push(isLarge ? '' : s.body, JSON.stringify(s.head), isLarge ? bytes : '');
    call.args.push(policyText(s.policy), graceMsOf(s.policy) ?? '', (s.head.unfit ?? []).join());
    call.args.push((s.head.spared ?? []).join(), SPARED_MS, s.ownerId, data, options);
  }
  return call;
}
