import type { Actor } from '../../../core/access.ts';
import { historyTexts } from '../../../core/agent/history.ts';
import { McpctlError } from '../../../core/errors.ts';
import type { ThreadContext } from '../../../core/registry/threads/threads.ts';
import { spliceMembers } from '../../../core/text/json-text.ts';
import type { EdgeDeps } from '../../deps.ts';
import { aim } from '../ask/aim.ts';
import { readRequest, type InferenceRequest } from '../ask/request.ts';
import type { Order } from '../ask/submit.ts';
import type { SentTurn } from './sent.ts';

/** A turn as it was asked for, and what its thread holds. */
interface Composing {
  agent: string;
  /** What was sent, with what is new alone. */
  request: InferenceRequest;
  sent: SentTurn;
  context: ThreadContext;
  pin: string | undefined;
  mayWait: boolean;
}

/**
 * The order that a turn becomes with all that was said before it; how long it may wait, and who for, its caller says.
 * @throws McpctlError `agent_not_found`, and as `aim`: the right to run is asked anew each time.
 */
export async function composeTurn(
  deps: EdgeDeps,
  actor: Actor,
  { agent, request, sent, context, pin, mayWait }: Composing,
): Promise<Omit<Order, 'source' | 'priority' | 'queueMs' | 'policy'>> {
  const texts = [...sent.system, ...historyTexts(context.messages, sent.added)];
  const body = spliceMembers(request.body, { messages: `[${texts.join(',')}]` }) ?? request.body;
  const { needs } = await readRequest('chat', body, { owner: actor.userId });
  const aimed = await aim(deps, actor, {
    request: { ...request, body, needs },
    translation: null,
    llmName: agent,
    pin,
    mayWait,
  });
  if (!aimed.agent) throw new McpctlError('agent_not_found');
  return { ...aimed, llmName: agent, headers: {}, retention: 'keep', key: null };
}
