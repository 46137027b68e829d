import {
  messageListQuerySchema,
  messageViewSchema,
  threadChangeSchema,
  threadCreateSchema,
  threadExportQuerySchema,
  threadForkSchema,
  threadListQuerySchema,
  threadViewSchema,
  toolResultsQuerySchema,
  toolResultsSchema,
  turnAnswerSchema,
  turnDeleteQuerySchema,
  turnDetailSchema,
  turnRequestSchema,
  turnRetrySchema,
  turnViewSchema,
  turnWaitsSchema,
} from '../../core/agent/thread.ts';
import { taskStreamQuerySchema } from '../../core/task/task.ts';
import { z } from 'zod';
import { notAnswered, notMade, wishes } from './inference.ts';
import { ifMatch, lastEventId, listOf, type Operation } from './operation.ts';

const Thread = threadViewSchema.meta({ id: 'Thread' });
const Turn = turnViewSchema.meta({ id: 'Turn' });
const TurnDetail = turnDetailSchema.meta({ id: 'TurnDetail' });
const Message = messageViewSchema.meta({ id: 'Message' });
const TurnWaits = turnWaitsSchema.meta({ id: 'TurnWaits' });
const TurnAnswer = turnAnswerSchema.meta({ id: 'TurnAnswer' });

const none = ['invalid_id', 'thread_not_found'] as const;
const refused = [
  'thread_not_found',
  'thread_busy',
  'tools_pending',
  'thread_full',
  'turn_queue_full',
  'agent_not_found',
] as const;

const rounds = ['tool_rounds_exceeded', 'tools_expired'] as const;

const taking = {
  tag: 'threads',
  about:
    'In a thread that is there, or, without `threadId`, in a new one. With `stream: true` chunks of a chat, the first of which says thread and turn; with `Prefer: respond-async` 202 and the turn. A caller who leaves stops nothing.',
  headers: wishes,
  body: turnRequestSchema,
  status: 200,
  answer: TurnAnswer,
  also: [
    { status: 200, answerType: 'text/event-stream' },
    { status: 202, answer: Turn },
  ],
} as const;

/** Conversations that are kept: docs/chat.md. */
export const threadOperations: readonly Operation[] = [
  {
    ...taking,
    call: 'POST /agents/{name}/chat',
    summary: 'Say something to an agent, and keep it',
    errors: [...notMade, ...refused, 'quota_exceeded', ...notAnswered],
  },
  {
    ...taking,
    call: 'POST /threads/{id}/turns',
    summary: 'Say something in a thread',
    errors: [...notMade, 'invalid_id', ...refused, ...notAnswered],
  },
  {
    call: 'GET /agents/{name}/threads',
    tag: 'threads',
    summary: 'List the threads of an agent, newest first',
    query: threadListQuerySchema,
    status: 200,
    answer: listOf(Thread),
    errors: ['invalid_request', 'invalid_cursor'],
  },
  {
    call: 'POST /agents/{name}/threads',
    tag: 'threads',
    summary: 'Make a thread, in which nothing was said yet, or what is brought along',
    body: threadCreateSchema,
    status: 201,
    answer: Thread,
    errors: ['invalid_request', 'agent_not_found', 'quota_exceeded'],
  },
  {
    call: 'GET /threads',
    tag: 'threads',
    summary: 'List threads, newest first',
    query: threadListQuerySchema,
    status: 200,
    answer: listOf(Thread),
    errors: ['invalid_request', 'invalid_cursor'],
  },
  {
    call: 'GET /threads/{id}',
    tag: 'threads',
    summary: 'Show a thread',
    status: 200,
    answer: Thread,
    errors: none,
  },
  {
    call: 'DELETE /threads/{id}',
    tag: 'threads',
    summary: 'Delete a thread, and all that was said in it',
    about: 'What runs is cancelled; the bodies of its tasks go too.',
    headers: ifMatch,
    status: 204,
    errors: ['invalid_request', 'stale_revision', ...none],
  },
  {
    call: 'GET /threads/{id}/messages',
    tag: 'threads',
    summary: 'List what was said, in order',
    about: 'After an index, or the last ones. `next` is the index to go on after.',
    query: messageListQuerySchema,
    status: 200,
    answer: z.object({ items: z.array(Message), next: z.number().nullable() }),
    errors: ['invalid_request', ...none],
  },
  {
    call: 'GET /threads/{id}/turns/{n}',
    tag: 'threads',
    summary: 'Show a turn: its answers, of what each request was made, and who had it',
    about: 'Who may not see the persona is told of no names of prompts.',
    status: 200,
    answer: TurnDetail,
    errors: none,
  },
  {
    call: 'DELETE /threads/{id}/turns/{n}',
    tag: 'threads',
    summary: 'Cancel a turn; again changes nothing',
    about:
      'What was shown of its answer stays in the thread; with `drop=true` later turns are told of neither it nor the question.',
    query: turnDeleteQuerySchema,
    status: 200,
    answer: Turn,
    errors: none,
  },
  {
    call: 'PATCH /threads/{id}',
    tag: 'threads',
    summary: 'Name a thread, pin it, or say until when it is kept',
    headers: ifMatch,
    body: threadChangeSchema,
    status: 200,
    answer: Thread,
    errors: ['invalid_request', 'stale_revision', ...none],
  },
  {
    ...taking,
    call: 'POST /threads/{id}/turns/{n}/retry',
    summary: 'Ask once more what the last turn asked',
    about:
      'In a new turn; the one before stays in the thread, and later turns are not told of it. The body may be empty.',
    body: turnRetrySchema,
    errors: [...notMade, 'invalid_id', ...refused, ...notAnswered],
  },
  {
    ...taking,
    call: 'POST /threads/{id}/turns/{n}/continue',
    summary: 'Go on with an answer that was cut short',
    about:
      'Of the last turn, where it was cancelled or failed after something was shown, or came to its limit of tokens: by members whose capabilities say `prefill`. What comes is a message of its own behind what was shown, in the same turn. The body may be empty.',
    body: turnRetrySchema,
    errors: [...notMade, 'invalid_id', ...refused, ...notAnswered],
  },
  {
    call: 'GET /threads/{id}/stream',
    tag: 'threads',
    summary: 'Follow what a thread is saying now',
    about:
      'The turn that is open, from its present round on or after an event, through all its rounds to its end; one in line is waited for. Server-sent events, each with an opaque `id`; `Last-Event-ID` is the same as `after`. 204 where nothing is open.',
    query: taskStreamQuerySchema,
    headers: lastEventId,
    status: 200,
    answerType: 'text/event-stream',
    also: [{ status: 204 }],
    errors: ['invalid_request', ...none, 'invalid_cursor', 'gone'],
  },
  {
    ...taking,
    call: 'POST /threads/{id}/turns/{n}/tool-results',
    summary: 'Bring results of the tools that a turn has called',
    about:
      'In any order, and in parts; a result that is there already changes nothing. With the last one the turn goes on, and this is answered like it; before that, it says what is missing.',
    query: toolResultsQuerySchema,
    body: toolResultsSchema,
    answer: z.union([TurnWaits, TurnAnswer]),
    errors: [
      ...notMade,
      'invalid_id',
      ...refused,
      'tool_result_mismatch',
      'tool_result_differs',
      ...rounds,
      ...notAnswered,
    ],
  },
  {
    call: 'POST /threads/{id}/fork',
    tag: 'threads',
    summary: 'Copy a thread up to a turn',
    about: 'What is said in either is not in the other. The body may be empty: then all of it.',
    body: threadForkSchema,
    status: 201,
    answer: Thread,
    errors: ['invalid_request', ...none, 'thread_busy', 'quota_exceeded'],
  },
  {
    call: 'GET /threads/{id}/export',
    tag: 'threads',
    summary: 'Take what was said along',
    about:
      '`openai`: title and messages as chat completions write them, of which later turns are told; a thread can be made of it. `jsonl`: each message, a line each. `markdown`: for people.',
    query: threadExportQuerySchema,
    status: 200,
    answer: z.object({ title: z.string(), messages: z.array(z.unknown()) }),
    also: [
      { status: 200, answerType: 'application/x-ndjson' },
      { status: 200, answerType: 'text/markdown' },
    ],
    errors: ['invalid_request', ...none],
  },
];
