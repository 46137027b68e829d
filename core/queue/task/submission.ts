import type { Redis } from 'ioredis';
import { graceMsOf, policyText, type Policy } from '../../task/disconnect.ts';
import { LARGE_BODY_BYTES } from '../../text/large-body.ts';
import type { Priority } from '../../task/task.ts';
import type { KeptHead } from '../../task/head.ts';
import type { Fence, TaskRef } from './fence.ts';
import type { Keys } from '../keys.ts';
import { sending } from '../line/wide.ts';
import { orUnavailable } from '../link/connect.ts';
import { trySeveral, type ScriptCall, type ScriptName } from '../scripts.ts';
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

/** What scripts are told of a task, as they write it. */
function writtenTask(s: Submission) {
  const bytes = Buffer.byteLength(s.body);
  const isLarge = bytes > LARGE_BODY_BYTES;
  return {
    jobId: jobIdOf(s),
    ttlMs: s.waitMs + FENCE_MARGIN_MS,
    body: isLarge ? '' : s.body,
    head: JSON.stringify(s.head),
    /** Of one that rests in Postgres. */
    bytes: isLarge ? bytes : '',
    policy: policyText(s.policy),
    graceMs: graceMsOf(s.policy) ?? '',
    unfit: (s.head.unfit ?? []).join(),
    spared: (s.head.spared ?? []).join(),
  };
}

/** Of the queue's name, behind the pool's. */
const suffixOf = ({ pin }: Pick<Submission, 'pin'>): string => (pin === undefined ? '' : `.${pin}`);

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
  const { jobId, ttlMs, body, head, bytes, policy, graceMs, unfit, spared } = writtenTask(s);
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
      suffixOf(s),
      ttlMs,
      body,
      head,
      s.taskId,
      policy,
      graceMs,
      s.attachment ?? '',
      WAITER_LEASE_MS,
      unfit,
      seen === undefined ? '' : seen === null ? 'none' : `${seen.epoch} ${seen.claim}`,
      s.priority,
      BACKGROUND_SCORE,
      bytes,
      spared,
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

type NamedCall = ScriptCall & { name: ScriptName };

/** As `Dispatch.enqueueMany`. */
export async function layMany(store: Store, many: readonly Laid[]): Promise<(boolean | Error)[]> {
  const fresh = many.filter(({ seen }) => seen === null);
  const placed = await layFresh(
    store,
    fresh.map(({ submission }) => submission),
  );
  const rest = many.filter(({ submission }) => !placed.has(submission));
  const answers = await layEach(store, rest);
  let next = 0;
  return many.map(({ submission }) => placed.has(submission) || (answers[next++] ?? false));
}

/** Asks scripts about these tasks, in one round trip. */
function ask(redis: Redis, tasks: readonly Submission[], calls: readonly NamedCall[]): Promise<unknown[]> {
  const bytes = tasks.reduce((sum, { body }) => sum + body.length, 0);
  return orUnavailable(sending(redis, bytes, (over) => trySeveral(over, calls)));
}

/** One script for each of the two steps of a task. */
async function layEach({ redis, keys, turns }: Store, many: readonly Laid[]): Promise<(boolean | Error)[]> {
  const calls = many.flatMap(({ submission: s, seen }): NamedCall[] => [
    { name: 'enqueue', ...laying(keys, turns.keyOf(s), { task: s, seen }) },
    { name: 'turn', ...turns.adding(s, jobIdOf(s)) },
  ]);
  const tasks = many.map(({ submission }) => submission);
  const answers = await ask(redis, tasks, calls);
  return many.map((_, at) => {
    const [laid, added] = [answers[at * 2], answers[at * 2 + 1]];
    if (laid instanceof Error) return laid;
    return added instanceof Error ? added : Number(laid) >= 0;
  });
}

/**
 * Lays down tasks that Redis has nothing of, those of one queue together (lay.lua): for whoever brings back all that it lost.
 * @returns those that have their place; the others are left to enqueue.lua and turn.lua, which go on with them.
 */
async function layFresh(
  { redis, keys, turns }: Store,
  fresh: readonly Submission[],
): Promise<Set<Submission>> {
  const groups = groupsOf(fresh);
  const calls = groups.map(({ tasks, owners }): NamedCall => ({
    name: 'lay',
    ...layingOf(keys, turns, { tasks, areOfOneOwner: owners.size === 1 }),
  }));
  const answers = await ask(redis, fresh, calls);
  const placed = groups.map(({ tasks }, n) => {
    const answer = answers[n];
    return Array.isArray(answer) ? tasks.filter((_, at) => answer[at] === 1) : [];
  });
  return new Set(placed.flat());
}

/** Tasks of one queue and priority, in their order; `owners` are those of all groups of it. */
interface Group {
  tasks: Submission[];
  bytes: number;
  owners: Set<string>;
}

function groupsOf(submissions: readonly Submission[]): Group[] {
  const lastOf = new Map<string, Group>();
  const groups: Group[] = [];
  for (const task of submissions) {
    const queue = `${task.priority} ${suffixOf(task)} ${task.poolKey}`;
    let group = lastOf.get(queue);
    if (!group || group.tasks.length >= AT_ONCE || group.bytes + task.body.length > MOST_BYTES) {
      group = { tasks: [], bytes: 0, owners: group?.owners ?? new Set() };
      lastOf.set(queue, group);
      groups.push(group);
    }
    group.tasks.push(task);
    group.bytes += task.body.length;
    group.owners.add(task.ownerId);
  }
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
  const call = {
    keys: [pool.orphans, ...places],
    args: [
      least,
      end,
      TURNS_KEPT_MS,
      MOST_ALONE,
      suffixOf(first),
      priority,
      JOB_NAME,
      WAITER_LEASE_MS,
      areOfOneOwner ? '1' : '',
    ] as (string | number)[],
  };
  for (const s of tasks) {
    const { jobId, ttlMs, body, head, bytes, policy, graceMs, unfit, spared } = writtenTask(s);
    const { fence, input, stream } = pool.task(s.taskId);
    call.keys.push(fence, input, stream, `${queue}:${jobId}`);
    const [, data, options] = writtenJob(s.taskId, { ...turns.optionsOf(s, true), jobId });
    call.args.push(
      s.taskId,
      s.epoch,
      jobId,
      ttlMs,
      body,
      head,
      bytes,
      policy,
      graceMs,
      unfit,
      spared,
      SPARED_MS,
    );
    call.args.push(s.ownerId, data, options);
  }
  return call;
}
