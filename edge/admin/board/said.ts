import { z } from 'zod';
import { isErrorCode } from '../../../core/errors.ts';
import { JOB_NAME } from '../../../core/queue/jobs/turns.ts';

const count = z.number().optional().catch(undefined);
const taskIdPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** `T-<epoch>` (core/queue/task/dispatch.ts). */
const jobIdPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-\d{1,9}$/;

/** Whether it can be the id of a job of ours: others name BullMQ's own keys, or nothing. */
export const isJobId = (id: unknown): boolean => typeof id === 'string' && jobIdPattern.test(id);

/** The task that a job's data names, and nothing else of it; '' when it names none. */
export function taskIdOf(data: unknown): string {
  const id = typeof data === 'object' && data !== null && 'T' in data ? String(data.T) : '';
  return taskIdPattern.test(id) ? id : '';
}

/** Of a failure its code of the catalogue; `unknown` where somebody wrote words. */
const reasonSchema = z
  .string()
  .optional()
  .catch(undefined)
  .transform((reason) => (!reason || isErrorCode(reason) ? reason : 'unknown'));

/**
 * What the board says of a job: numbers, ids, a code. A worker with a way to Redis can write anything into the jobs
 * of its pool, and people read the board; so what is not named here is not said.
 */
const jobSchema = z.object({
  id: z.string().regex(jobIdPattern).catch('not-a-job-of-ours'),
  timestamp: count,
  processedOn: count,
  finishedOn: count,
  progress: z.number().catch(0),
  attempts: count,
  delay: count,
  failedReason: reasonSchema,
  stacktrace: z.unknown().transform((): string[] => []),
  opts: z.object({ attempts: count, priority: count }).catch({}),
  data: z.object({ task: z.string().regex(taskIdPattern) }).catch({ task: '' }),
  name: z.unknown().transform(() => JOB_NAME),
  returnValue: z.unknown().transform(() => null),
  isFailed: z.boolean().catch(false),
  externalUrl: z.object({ displayText: z.string(), href: z.string() }).optional(),
  priority: count,
  attemptsStarted: count,
  stalledCounter: count,
});

const oneSchema = z.object({ job: jobSchema, status: z.string() });
/** A queue's own fields are of our making, or numbers. What we do not offer is said not to be there. */
const listSchema = z.object({
  queues: z.array(
    z.looseObject({
      jobs: z.array(jobSchema),
      supportsGlobalRateLimit: z.unknown().transform(() => false),
      jobSchedulerCount: z.unknown().transform(() => 0),
    }),
  ),
});

/** The list of queues, and the jobs of the one that is open. */
export const sayQueues = (body: unknown): object => listSchema.parse(body);
export const sayJob = (body: unknown): object => oneSchema.parse(body);
