import { composedViewSchema } from '../../core/agent/composed-view.ts';
import { z } from 'zod';
import { turnRequestSchema } from '../../core/agent/thread.ts';
import { requestSchemas } from '../inference/ask/request.ts';
import { shownPersonalitySchema } from '../../core/registry/agents/personalities.ts';
import { personality } from '../../core/resources/talk/personality.ts';
import { bindingBodySchema, ownPersonalitySchemas } from '../routes/personalities.ts';
import { trafficQuerySchema, watchersViewSchema } from '../../core/mcp/traffic/exchange.ts';
import { ifMatch, lastEventId, listOf, type Operation } from './operation.ts';

const notThere = ['agent_not_found', 'personality_not_found'] as const;
const ofAgent = { tag: 'personalities', status: 200, answer: personality.schemas.view } as const;

/** What an agent has besides create, read, update and delete. */
export const agentOperations: readonly Operation[] = [
  {
    call: 'POST /agents/{name}/compose',
    tag: 'agents',
    summary: 'Show what an agent would make of a chat',
    about:
      'Nothing is sent. Pieces of the system message with their sources, revisions and bytes; the body itself is for the owner of the agent, and admins.',
    body: z.union([turnRequestSchema, requestSchemas.chat]),
    status: 200,
    answer: composedViewSchema.meta({ id: 'Composed' }),
    errors: ['invalid_request', 'agent_not_found', 'llm_not_found', 'personality_not_found'],
  },
  {
    ...ofAgent,
    call: 'GET /agents/{name}/personalities',
    summary: 'List the personalities of an agent',
    about: 'For whoever the agent is there for: what they are called, and not what they say.',
    answer: listOf(shownPersonalitySchema.meta({ id: 'ShownPersonality' })),
    errors: ['agent_not_found'],
  },
  {
    ...ofAgent,
    call: 'POST /agents/{name}/personalities',
    summary: 'Create a personality of an agent',
    body: ownPersonalitySchemas.create,
    status: 201,
    errors: ['invalid_request', 'agent_not_found', 'name_taken', 'quota_exceeded'],
  },
  {
    ...ofAgent,
    call: 'GET /agents/{name}/personalities/{personality}',
    summary: 'Show a personality, by its name or its id',
    errors: notThere,
  },
  {
    ...ofAgent,
    call: 'PATCH /agents/{name}/personalities/{personality}',
    summary: 'Change a personality',
    headers: ifMatch,
    body: ownPersonalitySchemas.change,
    errors: ['invalid_request', ...notThere, 'name_taken', 'stale_revision'],
  },
  {
    tag: 'personalities',
    status: 204,
    call: 'DELETE /agents/{name}/personalities/{personality}',
    summary: 'Delete a personality',
    headers: ifMatch,
    errors: [...notThere, 'stale_revision'],
  },
  {
    ...ofAgent,
    call: 'PUT /agents/{name}/personalities/{personality}/prompts/{prompt}',
    summary: 'Give a personality a prompt, perhaps with a priority of its own',
    about: 'By its id, or its name where the agent has one of that name in reach. Idempotent.',
    body: bindingBodySchema,
    errors: ['invalid_request', ...notThere],
  },
  {
    ...ofAgent,
    call: 'DELETE /agents/{name}/personalities/{personality}/prompts/{prompt}',
    summary: 'Take a prompt from a personality; again changes nothing',
    errors: notThere,
  },
];

/** What people see of what clients ask of a project. */
export const trafficOperations: readonly Operation[] = [
  {
    call: 'GET /projects/{name}/traffic',
    tag: 'projects',
    summary: 'Watch what its clients ask, at whatever edge',
    about:
      'Server-sent events: `hello`, then an `exchange` for each request of a client that is over, `missed` with how many there was no room for (`count`; null: perhaps some), `away` while Redis is, and `signed-out` when your token is good no more or you may not see the project. Who may edit the project sees everybody’s, and that they watch is in the audit; who may see it their own. Nothing is captured while nobody watches. With `bodies` what was asked and answered, 64 KiB each, of your own calls, and of others’ with the operation `logs`. `hello` and an exchange have an `id`: `Last-Event-ID`, or `after`, goes on behind it. 32 watch in all, 8 of one user. It ends after an hour.',
    query: trafficQuerySchema,
    headers: lastEventId,
    status: 200,
    answerType: 'text/event-stream',
    errors: ['invalid_request', 'invalid_cursor', 'project_not_found'],
  },
  {
    call: 'GET /projects/{name}/watchers',
    tag: 'projects',
    summary: 'Who watches what its clients ask',
    about: 'For who may edit the project.',
    status: 200,
    answer: watchersViewSchema.meta({ id: 'Watchers' }),
    errors: ['project_not_found', 'forbidden'],
  },
];
