import type { BoardHooks } from '@bull-board/api/typings/app';
import { isJobId, sayJob, sayQueues } from './said.ts';

/** What each of Bull Board's reading calls may say. We have no flows, no logs and no schedules: whoever wrote some was not us. */
const looks: Readonly<Record<string, (body: unknown) => object>> = {
  'get /api/queues': sayQueues,
  'get /api/queues/:queueName/:jobId': sayJob,
  'get /api/queues/:queueName/:jobId/flow': () => ({ nodeId: '', flowRoot: null, isFlowNode: false }),
  'get /api/queues/:queueName/:jobId/logs': () => [],
  'get /api/queues/:queueName/default-job-options': () => ({}),
  'get /api/queues/:queueName/rate-limit': () => ({ supported: false, rateLimit: null }),
  'get /api/job-schedulers': () => ({ schedulers: [] }),
};

/**
 * What an admin may do. Each moves jobs and can lose no task: the reconcile duty enqueues again what Postgres says has
 * not ended. Not among them: what would write words into Redis (add, change data), what BullMQ's own limits would do
 * to a pool behind the back of its members' capacity, deleting a queue with its settings, and a retry, which could
 * only make a failure look completed, because a task that has ended stays so.
 */
const writes: ReadonlySet<string> = new Set([
  'put /api/queues/pause',
  'put /api/queues/resume',
  'put /api/queues/:queueName/pause',
  'put /api/queues/:queueName/resume',
  'put /api/queues/:queueName/empty',
  'put /api/queues/:queueName/clean/:queueStatus',
  'put /api/queues/:queueName/:jobId/clean',
]);

const notOffered =
  'Not offered here: jobs follow their tasks. Pause, resume, empty, clean and remove are; "mcpctl task cancel" ends a task.';

/** Every call of the board passes here: what is not named above is refused, and answers say what we let them. */
export const offered: Required<BoardHooks> = {
  before: ({ method, route, request }) => {
    const call = `${method} ${route}`;
    if (!Object.hasOwn(looks, call) && !writes.has(call))
      return { allow: false, status: 403, message: notOffered };
    const { jobId } = request.params as { jobId?: string };
    return jobId === undefined || isJobId(jobId)
      ? { allow: true }
      : { allow: false, status: 404, errorKey: 'ERRORS.JOB_NOT_FOUND' };
  },
  after: ({ method, route }, answer) => {
    const { status = 200 } = answer;
    if (status >= 400) return answer;
    const say = looks[`${method} ${route}`];
    return { status, body: say ? say(answer.body) : {} };
  },
};
