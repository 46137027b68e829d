import { composedViewSchema } from '../../core/agent/composed-view.ts';
import { requestSchemas } from '../inference/ask/request.ts';
import type { Operation } from './operation.ts';

/** What an agent has besides create, read, update and delete. */
export const agentOperations: readonly Operation[] = [
  {
    call: 'POST /agents/{name}/compose',
    tag: 'agents',
    summary: 'Show what an agent would make of a chat',
    about:
      'Nothing is sent. Pieces of the system message with their sources, revisions and bytes; the body itself is for the owner of the agent, and admins.',
    body: requestSchemas.chat,
    status: 200,
    answer: composedViewSchema.meta({ id: 'Composed' }),
    errors: ['invalid_request', 'agent_not_found', 'llm_not_found'],
  },
];
