import { z } from 'zod';
import type { ErrorCode } from '../../core/errors.ts';
import { taskCountsQuerySchema, taskCountsSchema } from '../../core/task/task.ts';
import type { Operation } from './operation.ts';

/** What edge/inference/ask/headers.ts reads; docs/calling.md tells it at length. */
export const wishes = z.object({
  prefer: z.string().optional().meta({ description: '`respond-async`, `wait=<seconds>`' }),
  'idempotency-key': z.string().optional(),
  'x-mcpctl-pin': z.string().optional().meta({ description: 'The one member that may run it.' }),
  'x-mcpctl-on-disconnect': z.string().optional().meta({ description: '`cancel`, `continue`, `grace=<s>`' }),
  'x-mcpctl-retention': z.enum(['keep', 'none']).optional(),
  'x-mcpctl-keepalive': z.enum(['chunk', 'comment', 'off']).optional(),
});
/** What any call that makes a task may be refused with before there is one. */
export const notMade: readonly ErrorCode[] = [
  'invalid_request',
  'llm_not_found',
  'no_capable_member',
  'context_length_exceeded',
  'idempotency_mismatch',
  'queue_full',
];
/** What else a task ends with, as who waits for it is told. */
export const notAnswered: readonly ErrorCode[] = [
  'task_cancelled',
  'no_active_llm',
  'wake_failed',
  'queue_timeout',
  'run_timeout',
  'backend_error',
  'backend_timeout',
  'backend_incomplete',
  'backend_auth_failed',
  'backend_misconfigured',
  'backend_not_ready',
  'worker_lost',
  'poison_task',
  'unstorable_result',
  'settle_pending',
];

/** How many tasks there are. */
export const countOperation: Operation = {
  call: 'GET /tasks/counts',
  tag: 'tasks',
  summary: 'Count the newest tasks',
  about: 'The newest 10,000 that you may see and that fit: where `total` is as many, there may be more.',
  query: taskCountsQuerySchema,
  status: 200,
  answer: taskCountsSchema,
  errors: ['invalid_request'],
};

/** @param answer a task */
export const retryOperation = (answer: z.ZodType): Operation => ({
  call: 'POST /tasks/{id}/retry',
  tag: 'tasks',
  summary: 'Ask what a task asked once more, as a new task that nobody need wait for',
  about:
    'Of a task that has ended, for who may read what was asked; the new one is yours. It is asked in one piece, of an agent as that is now, with the same priority, and of the same member where it was pinned to one.',
  headers: wishes,
  status: 202,
  answer,
  errors: [...notMade, 'invalid_id', 'task_not_found', 'task_open', 'gone'],
});
