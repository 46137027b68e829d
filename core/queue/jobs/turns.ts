import type { Redis } from 'ioredis';
import type { Priority } from '../../task/task.ts';
import type { TaskRef } from '../task/fence.ts';
import type { Keys } from '../keys.ts';
import { KEPT_JOBS } from './jobs.ts';
import { runScript, type ScriptCall } from '../scripts.ts';

/** A job as its turn is asked for: whose it is, and which queue it is in. */
export interface TurnOf extends Pick<TaskRef, 'poolKey'> {
  ownerId: string;
  priority: Priority;
  pin?: string | undefined;
}

/** BullMQ's score of the first job of a priority. */
const scoreOf = (priority: number): number => priority * 2 ** 32;

/**
 * Behind all interactive jobs that have their turn; where one is added to while others wait. The releases before knew
 * none: their interactive jobs carry no priority, and run before all.
 */
const SHELF = 9;
const BACKGROUND = 10;

/** Interactive jobs with a tag have scores of less than the shelf, background ones of one priority. */
const ranges: Record<Priority, { least: number; end: number }> = {
  interactive: { least: 0, end: scoreOf(SHELF) },
  background: { least: scoreOf(BACKGROUND), end: scoreOf(BACKGROUND + 1) },
};

/** The least score of the background, for the scripts. */
export const BACKGROUND_SCORE = scoreOf(BACKGROUND);

/** Tags of nothing that waits are no loss: an owner begins anew beside what goes next. */
export const TURNS_KEPT_MS = 24 * 3_600_000;
/** So many interactive jobs of one owner may stand without tags: giving them takes Redis some milliseconds. */
export const MOST_ALONE = 1_000;
const MOST_CONTESTED = 10_000;

/** Options of every job. */
const ALWAYS = { attempts: 1, removeOnComplete: { count: KEPT_JOBS }, removeOnFail: { count: KEPT_JOBS } };

export const JOB_NAME = 'infer';

/** Name, data and options of a job, as BullMQ writes them. */
export const writtenJob = (
  taskId: string,
  options: { jobId: string; priority?: number },
): [name: string, data: string, options: string] => [
  JOB_NAME,
  `{"T":"${taskId}"}`,
  JSON.stringify({ ...options, ...ALWAYS }),
];

/**
 * Owners of a queue take turns within a priority (decision 0018). Where nothing waits, or only interactive jobs of the
 * same owner, nothing is done: a job goes in as ever. Where others' did at the last enqueue of this process, the next job
 * is added behind all, and gets its place by a script that is sent right after; where some do for the first time, as soon
 * as the answer says so.
 */
export class Turns {
  readonly #deps: { redis: Redis; keys: Keys };
  /** Only of queues where jobs of others waited when this process last looked; the oldest go. */
  readonly #contested = new Set<string>();

  constructor(deps: { redis: Redis; keys: Keys }) {
    this.#deps = deps;
  }

  /** The key of what was given out so far. */
  keyOf({ poolKey, pin, priority }: TurnOf): string {
    return this.#deps.keys.pool(poolKey).turns(priority, pin);
  }

  isContested(job: TurnOf): boolean {
    return this.#contested.has(this.keyOf(job));
  }

  note(job: TurnOf, isContested: boolean): void {
    const key = this.keyOf(job);
    this.#contested.delete(key);
    if (!isContested) return;
    this.#contested.add(key);
    const oldest = this.#contested.keys().next().value;
    if (this.#contested.size > MOST_CONTESTED && oldest !== undefined) this.#contested.delete(oldest);
  }

  /** How a job is added before its turn is known. */
  optionsOf(job: Pick<TurnOf, 'priority'>, isContested: true): { priority: number };
  optionsOf(job: Pick<TurnOf, 'priority'>, isContested: boolean): { priority?: number };
  optionsOf({ priority }: Pick<TurnOf, 'priority'>, isContested: boolean): { priority?: number } {
    if (priority === 'background') return { priority: BACKGROUND };
    return isContested ? { priority: SHELF } : {};
  }

  /** Gives a job its place. @returns false when it does not stand in its queue: not yet, or no more. */
  async take(job: TurnOf, jobId: string): Promise<boolean> {
    return (await runScript(this.#deps.redis, 'turn', this.#placing(job, jobId))) === 1;
  }

  /**
   * What turn.lua is asked to add the job of a task that was laid down just now, at its place: what BullMQ's add and `take`
   * do, but for many of many queues it takes no object and no round trip of each.
   */
  adding(job: TurnOf & Pick<TaskRef, 'taskId'>, jobId: string): ScriptCall {
    const { keys } = this.#deps;
    const pool = keys.pool(job.poolKey);
    const queue = `${keys.namespace}:${pool.queue(job.pin)}`;
    const { keys: its, args } = this.#placing(job, jobId);
    const options = this.optionsOf(job, true);
    return {
      keys: [...its, pool.task(job.taskId).fence, `${queue}:marker`, `${queue}:meta`],
      args: [...args, ...writtenJob(job.taskId, { ...options, jobId }), options.priority],
    };
  }

  /** Where jobs of this priority stand in their queue, and what priority they are given with their tags. */
  placesOf(job: TurnOf): { queue: string; turnsKey: string; least: number; end: number; priority: number } {
    const { keys } = this.#deps;
    const queue = `${keys.namespace}:${keys.pool(job.poolKey).queue(job.pin)}`;
    const priority = job.priority === 'background' ? BACKGROUND : 0;
    return { queue, turnsKey: this.keyOf(job), priority, ...ranges[job.priority] };
  }

  #placing(job: TurnOf, jobId: string): ScriptCall {
    const { queue, turnsKey, least, end } = this.placesOf(job);
    return {
      keys: [`${queue}:wait`, `${queue}:prioritized`, `${queue}:${jobId}`, turnsKey],
      args: [jobId, job.ownerId, least, end, TURNS_KEPT_MS, MOST_ALONE],
    };
  }
}
