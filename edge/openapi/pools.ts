import { explainAskSchema, explainViewSchema } from '../../core/task/explain.ts';
import {
  approvedViewSchema,
  approveSchema,
  changesQuerySchema,
  changesViewSchema,
} from '../../core/mcp/pinned/approvals.ts';
import { logsQuerySchema, serverProcessSchema } from '../../core/mcp/process/orders.ts';
import { z } from 'zod';
import { listQuerySchema } from '../../core/page.ts';
import { poolGuestSchema, poolOwnerViewSchema, poolViewSchema } from '../../core/pool.ts';
import { listOf, lookAgain, type Operation } from './operation.ts';

const Pool = poolViewSchema.meta({ id: 'Pool' });
const guestsSchema = z.object({ poolKey: z.string(), allowed: z.array(z.string()) });

/** What people call of pools. */
export const poolOperations: readonly Operation[] = [
  {
    call: 'GET /pools',
    tag: 'pools',
    summary: 'List pools',
    query: listQuerySchema,
    headers: lookAgain,
    status: 200,
    answer: listOf(Pool),
    errors: ['invalid_request', 'invalid_cursor'],
  },
  {
    call: 'GET /pools/{key}',
    tag: 'pools',
    summary: 'Show a pool',
    about:
      'Its members say besides how they answered in the last five minutes (`ttftP50`, `tokensPerS`, `lastError`), as far as tasks that you may see tell. `restingUntil`: one takes nothing until then, at least, though it serves.',
    status: 200,
    answer: Pool,
    errors: ['pool_not_found'],
  },
  {
    call: 'POST /pools/{key}/allow',
    tag: 'pools',
    summary: 'Let a user join the pool',
    body: poolGuestSchema,
    status: 200,
    answer: guestsSchema,
    errors: ['invalid_request', 'pool_not_found'],
  },
  {
    call: 'POST /pools/{key}/deny',
    tag: 'pools',
    summary: 'Let a user join no longer',
    body: poolGuestSchema,
    status: 200,
    answer: guestsSchema,
    errors: ['invalid_request', 'pool_not_found'],
  },
  {
    call: 'POST /pools/{key}/owner',
    tag: 'pools',
    summary: 'Hand the pool over',
    about:
      'For its owner and admins. Admins also give a key that nobody uses: so a user gets the name of a well-known model.',
    body: poolGuestSchema,
    status: 200,
    answer: poolOwnerViewSchema,
    errors: ['invalid_request', 'pool_not_found', 'name_taken'],
  },
];

/** What people call of MCP servers besides create, read, update and delete. */
export const serverOperations: readonly Operation[] = [
  {
    call: 'GET /servers/{name}/changes',
    tag: 'servers',
    summary: 'What projects have not approved of what it has',
    about:
      'Of the projects that have the server and that you may see, 50 at most: tools, prompts, resources and templates of resources that are new (`pending`), other than was approved (`changed`, with a line for each difference), or `gone`.',
    query: changesQuerySchema,
    status: 200,
    answer: changesViewSchema.meta({ id: 'ServerChanges' }),
    errors: ['invalid_request', 'server_not_found', 'project_not_found'],
  },
  {
    call: 'GET /servers/{name}/logs',
    tag: 'servers',
    summary: 'What its process printed last',
    about:
      'Asked of the worker that runs it, and kept nowhere: 64 KiB at most, without the values of its secrets. For its owner, and for who may edit it and has the operation `logs`. With `after`, the place that an answer before has said (`at`), only what came behind it, in whole lines; where nothing has, the answer waits ten seconds at most.',
    query: logsQuerySchema,
    status: 200,
    answer: serverProcessSchema.meta({ id: 'ServerProcess' }),
    errors: ['server_not_found', 'forbidden', 'mcp_server_down'],
  },
  {
    call: 'POST /servers/{name}/restart',
    tag: 'servers',
    summary: 'Begin its process anew',
    about:
      'For who may edit it. Of its calls that run nobody knows what became of them. Answers within 15 s.',
    status: 200,
    answer: serverProcessSchema.meta({ id: 'ServerProcess' }),
    errors: ['server_not_found', 'forbidden', 'mcp_server_down'],
  },
  {
    call: 'POST /servers/{name}/approve',
    tag: 'servers',
    summary: 'Approve tools, prompts and resources as they are now',
    about:
      'For who may edit the project; without one, in all of your own that have the server. Each by the hash that `changes` says of it: one that is another by now is refused with 412, and nothing is approved.',
    body: approveSchema,
    status: 200,
    answer: approvedViewSchema.meta({ id: 'Approved' }),
    errors: ['invalid_request', 'server_not_found', 'project_not_found', 'forbidden', 'stale_revision'],
  },
];

const Explain = explainViewSchema.meta({ id: 'Explain' });

/** Why this member, and why not the others. */
export const explainOperations: Operation[] = [
  {
    call: 'GET /llms/{name}/explain',
    tag: 'llms',
    summary: 'Who would take a call now, and why not the others',
    about: 'Of an llm, its alias, an agent or a pool. Members that you may not see are counted.',
    status: 200,
    answer: Explain,
    errors: ['llm_not_found'],
  },
  {
    call: 'POST /llms/{name}/explain',
    tag: 'llms',
    summary: 'Who would take this request, and where it would stand',
    about:
      'As `GET` says, with what the request asks of a member (tools, pictures, the kind of call), and its place in the queue. Nothing is sent to anybody. Of an agent, without what its own texts and tools ask for.',
    body: explainAskSchema,
    status: 200,
    answer: Explain,
    errors: ['llm_not_found', 'invalid_request', 'invalid_json'],
  },
  {
    call: 'GET /tasks/{id}/explain',
    tag: 'tasks',
    summary: 'Why this member: who has, had, or would take the task',
    status: 200,
    answer: Explain,
    errors: ['invalid_id', 'task_not_found'],
  },
];
