import { z } from 'zod';
import { sessionListQuerySchema, sessionViewSchema } from '../../core/member/session.ts';
import { sessionUsageQuerySchema, sessionUsageSchema } from '../../core/operator/usage.ts';
import { orderAnswerSchema } from '../../core/mcp/process/orders.ts';
import { resourceNewsSchema, wantedResourcesSchema } from '../../core/mcp/offers.ts';
import { toolsReportSchema } from '../../core/mcp/tools.ts';
import {
  heartbeatSchema,
  registeredSchema,
  registerSchema,
  resultSchema,
  sessionBodySchema,
  streamLineSchema,
  wireHeaders,
} from '../../core/member/protocol.ts';
import { listOf, type Operation } from './operation.ts';

const okSchema = z.object({ ok: z.boolean() });
const streamHeaders = z.object({
  [wireHeaders.session]: z.uuid(),
  [wireHeaders.instance]: z.string().optional(),
  [wireHeaders.running]: z.string().optional().meta({ description: '`<taskId>:<claimId>,…`' }),
  [wireHeaders.fetches]: z
    .string()
    .optional()
    .meta({ description: 'Said by who gets large requests by `_provider-task/{id}/body`' }),
});
/** A session's own claims, and no others, where it is said; the claim where several were held. */
const uplinkHeaders = z.object({
  [wireHeaders.session]: z.uuid().optional(),
  [wireHeaders.instance]: z.string().optional(),
  [wireHeaders.claim]: z.string().optional(),
});

/** What workers say to the edge, protocol 1 (docs/spec.md §3). Unknown fields are passed over. */
export const workerOperations: readonly Operation[] = [
  {
    call: 'POST /llms/_provider-register',
    tag: 'worker',
    summary: 'Publish llms: all of them, or none',
    body: registerSchema,
    status: 201,
    answer: registeredSchema,
    errors: [
      'invalid_request',
      'protocol_unsupported',
      'transport_unavailable',
      'session_not_found',
      'session_in_use',
      'session_revoked',
      'name_taken',
      'name_reserved',
      'pool_not_yours',
      'quota_exceeded',
    ],
  },
  {
    call: 'GET /llms/_provider-stream',
    tag: 'worker',
    summary: 'Hold the control stream of the sse transport',
    headers: streamHeaders,
    status: 200,
    answerType: 'text/event-stream',
    errors: ['invalid_request', 'session_not_found', 'session_in_use'],
  },
  {
    call: 'POST /llms/_provider-heartbeat',
    tag: 'worker',
    summary: 'Stay published',
    body: heartbeatSchema,
    status: 200,
    answer: okSchema,
    errors: ['invalid_request', 'session_not_found'],
  },
  {
    call: 'POST /llms/_provider-tools',
    tag: 'worker',
    summary: 'Tell what tools an MCP server has',
    body: toolsReportSchema,
    status: 200,
    answer: okSchema,
    errors: ['invalid_request', 'session_not_found', 'name_taken'],
  },
  {
    call: 'POST /llms/_provider-resources',
    tag: 'worker',
    summary: 'Tell which resources of an MCP server are others now, and hear of which somebody wants to know',
    body: resourceNewsSchema,
    status: 200,
    answer: wantedResourcesSchema,
    errors: ['invalid_request', 'session_not_found'],
  },
  {
    call: 'POST /llms/_provider-said',
    tag: 'worker',
    summary: 'Say what came of an order about the process of an MCP server',
    body: orderAnswerSchema,
    status: 200,
    answer: okSchema,
    errors: ['invalid_request', 'session_not_found'],
  },
  {
    call: 'POST /llms/_provider-goodbye',
    tag: 'worker',
    summary: 'Leave now; again changes nothing',
    body: sessionBodySchema,
    status: 200,
    answer: okSchema,
    errors: ['invalid_request', 'session_not_found'],
  },
  {
    call: 'POST /llms/_provider-task/{id}/stream',
    tag: 'worker',
    summary: 'Send a whole answer over one connection, a line at a time',
    headers: uplinkHeaders,
    body: streamLineSchema,
    bodyType: 'application/x-ndjson',
    status: 200,
    answer: z.object({ outcome: z.string() }),
    errors: ['invalid_request', 'task_not_found', 'claim_lost'],
  },
  {
    call: 'GET /llms/_provider-task/{id}/body',
    tag: 'worker',
    summary: 'The request of a task that one holds: a large one is not in Redis',
    headers: uplinkHeaders,
    status: 200,
    answer: z.unknown(),
    errors: ['task_not_found', 'claim_lost'],
  },
  {
    call: 'POST /llms/_provider-task/{id}/deliver',
    tag: 'worker',
    summary: 'Pin a claim before what was asked is handed on: it is never started over',
    headers: uplinkHeaders,
    status: 200,
    answer: okSchema,
    errors: ['task_not_found', 'claim_lost'],
  },
  {
    call: 'POST /llms/_provider-task/{id}/result',
    tag: 'worker',
    summary: 'Send an answer, or a piece of one',
    headers: uplinkHeaders,
    body: resultSchema,
    status: 200,
    answer: okSchema,
    errors: ['invalid_request', 'task_not_found', 'claim_lost'],
  },
];

const Session = sessionViewSchema.meta({ id: 'Session' });

const holding = (call: string, summary: string, about: string): Operation => ({
  call: `POST /sessions/{id}/${call}`,
  ...{ tag: 'sessions', summary, about },
  status: 200,
  answer: Session,
  errors: ['worker_not_found'],
});

/** What people call of workers. */
export const sessionOperations: readonly Operation[] = [
  {
    call: 'GET /sessions',
    tag: 'sessions',
    summary: 'List workers that publish: your own, for admins all',
    about: 'A page has at most 100, and fewer where they have 1,000 llms together.',
    query: sessionListQuerySchema,
    status: 200,
    answer: listOf(Session),
    errors: ['invalid_request', 'invalid_cursor'],
  },
  {
    call: 'GET /sessions/{id}',
    tag: 'sessions',
    summary: "Show a worker, by its id, or by its host's name where that is the only one",
    status: 200,
    answer: Session,
    errors: ['worker_not_found'],
  },
  holding(
    'pause',
    'Give a worker nothing new',
    'What it runs goes on. It lasts until it is resumed, whatever connects.',
  ),
  holding(
    'drain',
    'Give a worker nothing new, until nothing of it runs',
    'As pause; its state is `draining`, and `drained` once nothing of it runs: then its machine may be switched off.',
  ),
  holding('resume', 'End a pause, or a drain', 'It takes tasks again at once.'),
  {
    call: 'GET /sessions/{id}/usage',
    tag: 'sessions',
    summary: 'Whose tasks a worker ran, and how much that was',
    about:
      'By user, for who may view the worker: its owner, and admins. No prompts. `mcplocal usage` shows it at the machine.',
    query: sessionUsageQuerySchema,
    status: 200,
    answer: sessionUsageSchema.meta({ id: 'SessionUsage' }),
    errors: ['invalid_request', 'worker_not_found'],
  },
  {
    call: 'DELETE /sessions/{id}',
    tag: 'sessions',
    summary: 'Revoke a worker',
    about:
      'It is out at once: what nobody has seen of its tasks starts over elsewhere. It may not register as this session again; its token, which may publish as another, is revoked by itself.',
    status: 204,
    errors: ['invalid_request', 'worker_not_found'],
  },
];
