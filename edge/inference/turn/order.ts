import type { Actor } from '../../../core/access.ts';
import { cutOf, expectedTokens, roomBytes } from '../../../core/agent/budget.ts';
import { historyTexts } from '../../../core/agent/history.ts';
import { McpctlError } from '../../../core/errors.ts';
import type { TurnComposition } from '../../../core/registry/threads/accept-turn.ts';
import type { ThreadContext } from '../../../core/registry/threads/threads.ts';
import { spliceMembers, topLevelMembers } from '../../../core/text/json-text.ts';
import type { EdgeDeps } from '../../deps.ts';
import { aim } from '../ask/aim.ts';
import { needsOfChat, type InferenceRequest } from '../ask/request.ts';
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
  /** By its name; an empty text = none, undefined = the agent's default. */
  personality: string | undefined;
  mayWait: boolean;
  /** The turn whose next round it is: it is never left out. */
  open?: number;
}

type Composed = Omit<Order, 'source' | 'priority' | 'queueMs' | 'policy'>;

/**
 * The order that a turn becomes with all that was said before it, as far as there is room for it; how long it may wait, and
 * who for, its caller says.
 * @throws McpctlError `agent_not_found`, and as `aim`: the right to run is asked anew each time.
 */
export async function composeTurn(
  deps: EdgeDeps,
  actor: Actor,
  composing: Composing,
): Promise<{ composed: Composed; composition: TurnComposition }> {
  const { context, pin, personality } = composing;
  const composed = await composedWith(deps, actor, composing);
  const { contextLength } = composed.target;
  const of = ({ request }: Composed): Pick<TurnComposition, 'expected'> => ({
    expected: expectedTokens(Buffer.byteLength(request.body), context.measured),
  });
  const facts = { pin, personality, contextLength, from: context.from, leftOut: context.leftOut };
  const from = contextLength === null ? null : cutIn(composed.request.body, composing, contextLength);
  if (from === null) return { composed, composition: { ...facts, ...of(composed) } };
  const messages = context.messages.filter(({ n }) => n >= from);
  const dropped = new Set(context.messages.map(({ n }) => n).filter((n) => n < from));
  const shorter = await composedWith(deps, actor, { ...composing, context: { ...context, messages } });
  const composition = { ...facts, from, leftOut: context.leftOut + dropped.size, ...of(shorter) };
  return { composed: shorter, composition };
}

/** An estimate leaves out; what is still too long the backend says. */
function cutIn(body: string, { context, open = Infinity }: Composing, contextLength: number): number | null {
  const { messages, measured } = context;
  const bytes = Buffer.byteLength(body);
  const room = roomBytes({ contextLength, answerTokens: answerTokensIn(body), measured });
  if (bytes <= room) return null; // as most are: nothing needs to be weighed
  const weights = new Map<number, number>();
  for (const { n, parts, content } of messages)
    if (n < open) weights.set(n, (weights.get(n) ?? 0) + Buffer.byteLength(parts ?? JSON.stringify(content)));
  const turns = [...weights].map(([n, weight]) => ({ n, bytes: weight }));
  return cutOf(turns, { bytes, room });
}

function answerTokensIn(body: string): number | null {
  const members = topLevelMembers(body) ?? [];
  const limit = members.findLast(({ key }) => key === 'max_tokens' || key === 'max_completion_tokens');
  const count = limit && Number(body.slice(limit.valueStart, limit.valueEnd));
  return count !== undefined && Number.isInteger(count) && count > 0 ? count : null;
}

async function composedWith(
  deps: EdgeDeps,
  actor: Actor,
  { agent, request, sent, context, pin, personality, mayWait, open }: Composing,
): Promise<Composed> {
  const kept = context.messages.map((message) => {
    const { n, reasoning: text, reasoningField: field } = message;
    return n === open && text !== null && field !== null ? { ...message, thought: { field, text } } : message;
  });
  const texts = [...sent.system, ...historyTexts(kept, sent.added)];
  const body = spliceMembers(request.body, { messages: `[${texts.join(',')}]` }) ?? request.body;
  const needs = await needsOfChat(body, actor.userId);
  const aimed = await aim(deps, actor, {
    request: { ...request, body, needs },
    translation: null,
    llmName: agent,
    pin,
    mayWait,
    personality: personality === '' ? null : personality,
  });
  if (!aimed.agent) throw new McpctlError('agent_not_found');
  return {
    ...aimed,
    llmName: personality ? `${agent}:${personality}` : agent,
    headers: {},
    retention: 'keep',
    key: null,
  };
}
