import { z } from 'zod';
import {
  tokenCreateSchema,
  tokenDeleteQuerySchema,
  tokenViewSchema,
  whoamiSchema,
} from '../../core/access.ts';
import {
  llmCreateSchema,
  llmDeleteQuerySchema,
  llmListQuerySchema,
  llmPatchSchema,
  llmReplaceSchema,
  llmViewSchema,
} from '../../core/llm.ts';
import { listQuerySchema } from '../../core/page.ts';
import { membersViewSchema } from '../../core/pool.ts';
import {
  taskCreateSchema,
  taskListQuerySchema,
  taskStreamQuerySchema,
  taskViewSchema,
  taskWaitQuerySchema,
} from '../../core/task/task.ts';
import { overviewViewSchema } from '../../core/operator/overview.ts';
import { usageQuerySchema, usageViewSchema } from '../../core/operator/usage.ts';
import { requestSchemas } from '../inference/ask/request.ts';
import { ifMatch, lastEventId, listOf, lookAgain, type Operation } from './operation.ts';
import { ollamaOperations } from './ollama.ts';
import {
  accessOperations,
  auditOperations,
  templateOperations,
  deviceOperations,
  groupOperations,
  joinOperations,
  secretOperations,
} from './access.ts';
import { agentOperations, trafficOperations } from './agents.ts';
import { applyOperations, backupOperations } from './apply.ts';
import { countOperation, notAnswered, notMade, retryOperation, wishes } from './inference.ts';
import { explainOperations, poolOperations, serverOperations } from './pools.ts';
import { threadOperations } from './threads.ts';
import { sessionOperations } from './worker.ts';

/** Schemas with a name of their own in the document. */
const Llm = llmViewSchema.meta({ id: 'Llm' });
const Members = membersViewSchema.meta({ id: 'Members' });
const Task = taskViewSchema.meta({ id: 'Task' });
const Token = tokenViewSchema.meta({ id: 'Token' });

const llms: Operation[] = [
  {
    call: 'GET /llms',
    tag: 'llms',
    summary: 'List llms',
    query: llmListQuerySchema,
    status: 200,
    answer: listOf(Llm),
    errors: ['invalid_request', 'invalid_cursor'],
  },
  {
    call: 'POST /llms',
    tag: 'llms',
    summary: 'Create a public llm',
    about: 'For admins. Virtual llms are published by workers.',
    body: llmCreateSchema,
    status: 201,
    answer: Llm,
    errors: ['invalid_request', 'name_taken', 'name_reserved', 'pool_not_yours', 'quota_exceeded'],
  },
  {
    call: 'GET /llms/{name}',
    tag: 'llms',
    summary: 'Show an llm and its pool',
    status: 200,
    answer: Llm,
    errors: ['llm_not_found'],
  },
  {
    call: 'PUT /llms/{name}',
    tag: 'llms',
    summary: 'Create or replace a public llm',
    about: 'Idempotent; 201 when it was made.',
    headers: ifMatch,
    body: llmReplaceSchema,
    status: 200,
    answer: Llm,
    also: [{ status: 201, answer: Llm }],
    errors: [
      'invalid_request',
      'name_taken',
      'name_reserved',
      'llm_published',
      'pool_not_yours',
      'stale_revision',
    ],
  },
  {
    call: 'PATCH /llms/{name}',
    tag: 'llms',
    summary: 'Change a public llm',
    headers: ifMatch,
    body: llmPatchSchema,
    status: 200,
    answer: Llm,
    errors: [
      'invalid_request',
      'llm_not_found',
      'name_taken',
      'llm_published',
      'pool_not_yours',
      'stale_revision',
    ],
  },
  {
    call: 'DELETE /llms/{name}',
    tag: 'llms',
    summary: 'Delete an llm',
    about: 'A virtual one only when its publisher is gone.',
    headers: ifMatch,
    query: llmDeleteQuerySchema,
    status: 204,
    errors: ['llm_not_found', 'llm_published', 'llm_in_use', 'stale_revision'],
  },
  {
    call: 'GET /llms/{name}/members',
    tag: 'llms',
    summary: 'List the members of its pool',
    status: 200,
    answer: Members,
    errors: ['llm_not_found'],
  },
];

const tasks: Operation[] = [
  {
    call: 'POST /llms/{name}/infer',
    tag: 'inference',
    summary: 'Ask an llm, and wait',
    about:
      'A chat body of OpenAI in; the answer as OpenAI gives it out, with `stream: true` as server-sent events. With `Prefer: respond-async` 202 and the task.',
    headers: wishes,
    body: requestSchemas.chat,
    status: 200,
    answer: z.looseObject({}),
    also: [
      { status: 200, answerType: 'text/event-stream' },
      { status: 202, answer: Task },
    ],
    errors: [...notMade, ...notAnswered],
  },
  {
    call: 'POST /tasks',
    tag: 'tasks',
    summary: 'Make a task that nobody need wait for',
    headers: wishes,
    body: taskCreateSchema,
    status: 202,
    answer: Task,
    errors: notMade,
  },
  {
    call: 'GET /tasks',
    tag: 'tasks',
    summary: 'List tasks, newest first',
    query: taskListQuerySchema,
    headers: lookAgain,
    status: 200,
    answer: listOf(Task),
    errors: ['invalid_request', 'invalid_cursor'],
  },
  countOperation,
  retryOperation(Task),
  {
    call: 'GET /tasks/{id}',
    tag: 'tasks',
    summary: 'Show a task; with `wait`, when it has ended',
    query: taskWaitQuerySchema,
    status: 200,
    answer: Task,
    errors: ['invalid_request', 'invalid_id', 'task_not_found'],
  },
  {
    call: 'DELETE /tasks/{id}',
    tag: 'tasks',
    summary: 'Cancel a task; again changes nothing',
    status: 200,
    answer: Task,
    errors: ['invalid_id', 'task_not_found'],
  },
  {
    call: 'GET /tasks/{id}/stream',
    tag: 'tasks',
    summary: 'Follow a task, from its beginning or after an event',
    about: 'Server-sent events, each with an opaque `id`; `Last-Event-ID` is the same as `after`.',
    query: taskStreamQuerySchema,
    headers: lastEventId,
    status: 200,
    answerType: 'text/event-stream',
    errors: ['invalid_request', 'invalid_id', 'invalid_cursor', 'task_not_found', 'gone'],
  },
  {
    call: 'GET /events',
    tag: 'tasks',
    summary: 'Hear what changes',
    about:
      'Server-sent events for who shows pools, tasks and the audit: `hello`, then `changed` with `topics` (`pools`, `tasks`, `audit`), as far as you may see them, and `agoMs`, since when what is read has it, at most once a second, later where very many watch, `away` when Redis or Postgres cannot be read (`forMs`; the next `changed` ends that), and `signed-out` when your token is good no more. It never says what changed: ask. It ends after an hour, and when its reader takes nothing.',
    status: 200,
    answerType: 'text/event-stream',
    errors: [],
  },
];

const tokens: Operation[] = [
  {
    call: 'GET /overview',
    tag: 'pools',
    summary: 'How it goes: pools, workers, what runs and waits, and the last minutes',
    about:
      'Of what you may see, at most a second old. `lately` is of tasks that ended in the last five minutes, or of the newest 5,000 of them.',
    status: 200,
    answer: overviewViewSchema.meta({ id: 'Overview' }),
    errors: [],
  },
  {
    call: 'GET /usage',
    tag: 'tokens',
    summary: 'Tasks and tokens by user, token, llm or pool',
    about:
      'Of tasks that ended in the last `hours`, or between `from` and `to`, as far back as rows are kept; who may view all tasks sees everybody’s. With `bucket` for each hour or day of UTC in which any ended, oldest first, a page of whole buckets at a time: `next` is for `after`. At most 500 names are told, those with the most tokens, and of each bucket 500. `format=csv` is all pages as a file.',
    query: usageQuerySchema,
    status: 200,
    answer: usageViewSchema,
    also: [{ status: 200, answerType: 'text/csv' }],
    errors: ['invalid_request', 'invalid_cursor'],
  },
  {
    call: 'GET /whoami',
    tag: 'tokens',
    summary: 'Who the server thinks you are',
    status: 200,
    answer: whoamiSchema,
    errors: [],
  },
  {
    call: 'GET /tokens',
    tag: 'tokens',
    summary: 'List tokens',
    query: listQuerySchema,
    status: 200,
    answer: listOf(Token),
    errors: ['invalid_request', 'invalid_cursor'],
  },
  {
    call: 'POST /tokens',
    tag: 'tokens',
    summary: 'Make a token; its text is shown this once',
    about:
      'It lets through of what its user may as much as its preset says, call unless told, and of that the bindings and operations alone that are named. It is never wider than the one that makes it, and lives no longer.',
    body: tokenCreateSchema,
    status: 201,
    answer: Token,
    errors: ['invalid_request', 'escalation', 'name_taken', 'quota_exceeded'],
  },
  {
    call: 'DELETE /tokens/{id}',
    tag: 'tokens',
    summary: 'Revoke a token, by its id or name',
    about: 'What was made with it ends with it, and what was made with that, unless children=keep.',
    query: tokenDeleteQuerySchema,
    status: 204,
    errors: ['invalid_request', 'token_not_found'],
  },
];

/** What people and programs call; worker.ts has what workers do. */
export const apiOperations: readonly Operation[] = [
  ...llms,
  ...poolOperations,
  ...sessionOperations,
  ...agentOperations,
  ...applyOperations,
  ...backupOperations,
  ...threadOperations,
  ...groupOperations,
  ...secretOperations,
  ...serverOperations,
  ...trafficOperations,
  ...accessOperations,
  ...auditOperations,
  ...templateOperations,
  ...tasks,
  ...explainOperations,
  ...tokens,
  ...deviceOperations,
  ...joinOperations,
  ...ollamaOperations([...notMade, ...notAnswered]),
];
