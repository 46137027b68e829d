import type { Actor } from '../../../core/access.ts';
import { cutOf, expectedTokens, roomBytes } from '../../../core/agent/budget.ts';
import { historyTexts } from '../../../core/agent/history.ts';
import { McpctlError } from '../../../core/errors.ts';
import type { TurnComposition } from '../../../core/registry/threads/accept-turn.ts';
import type { ContextMessage, History, ThreadContext } from '../../../core/registry/threads/context.ts';
import { topLevelMembers } from '../../../core/text/json-text.ts';
import type { EdgeDeps } from '../../deps.ts';
import { aim } from '../ask/aim.ts';
import { needsOfMessages } from '../ask/needs.ts';
import type { InferenceRequest } from '../ask/request.ts';
import type { Order } from '../ask/submit.ts';
import { targetOf } from '../ask/target.ts';
import type { SentTurn } from './sent.ts';

/** A turn as it was asked for, and what its thread holds. */
interface Composing {
  agent: string;
  /** What was sent, with what is new alone. */
  request: InferenceRequest;
  sent: SentTurn;
  /** Null: it is the first in it. */
  threadId: string | null;
  context: ThreadContext;
  pin: string | undefined;
  /** By its name; an empty text = none, undefined = the agent's default. */
  personality: string | undefined;
  mayWait: boolean;
  /** The turn whose next round it is: it is never left out. */
  open?: number;
  /** A turn that it makes up for: it is told of no more. */
  without?: string | undefined;
}

type Composed = Omit<Order, 'source' | 'priority' | 'queueMs' | 'policy'>;

/** Members come and go meanwhile, and may have more room than those for whom the thread was read. */
const MOST_READS = 3;

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
  const { agent, pin, mayWait, request } = composing;
  const wanted = { asked: agent, pin, mayWait, needs: request.needs, translation: null };
  let { contextLength } = await targetOf(deps, actor, wanted);
  for (let reads = 1; ; reads++) {
    const history = await historyFor(deps, composing, contextLength);
    const made = await composeWith(deps, actor, { composing, history });
    const room = made.composed.target.contextLength;
    const readsAll = history.isAll || (room !== null && contextLength !== null && room <= contextLength);
    if (readsAll || reads === MOST_READS) return made;
    contextLength = room;
  }
}

/** No more of a thread than its members have room for; what is being said now is not there yet. */
async function historyFor(
  deps: EdgeDeps,
  { threadId, context, open, without }: Composing,
  contextLength: number | null,
): Promise<History> {
  if (threadId === null || !context.isSettled) return { messages: [], isAll: true };
  const { from, measured } = context;
  const room = contextLength === null ? null : roomBytes({ contextLength, answerTokens: 0, measured });
  return await deps.registry.threads.history({ threadId, from, open, without, room });
}

async function composeWith(
  deps: EdgeDeps,
  actor: Actor,
  { composing, history: { messages } }: { composing: Composing; history: History },
): Promise<{ composed: Composed; composition: TurnComposition }> {
  const { context, pin, personality, threadId } = composing;
  const composed = await composedOf(deps, actor, { composing, messages });
  const { contextLength } = composed.target;
  const of = ({ request }: Composed): Pick<TurnComposition, 'expected'> => ({
    expected: expectedTokens(Buffer.byteLength(request.body), context.measured),
  });
  const facts = { pin, personality, contextLength, from: context.from, leftOut: context.leftOut };
  const cut = { messages, measured: context.measured, open: composing.open };
  const from = contextLength === null ? null : cutIn(composed.request.body, cut, contextLength);
  if (from === null || threadId === null) return { composed, composition: { ...facts, ...of(composed) } };
  const kept = messages.filter(({ n }) => n >= from);
  const shorter = await composedOf(deps, actor, { composing, messages: kept });
  const leftOut = await deps.registry.threads.toldBefore(threadId, from);
  return { composed: shorter, composition: { ...facts, from, leftOut, ...of(shorter) } };
}

interface Cutting extends Pick<ThreadContext, 'measured'> {
  messages: readonly ContextMessage[];
  open: number | undefined;
}

/** An estimate leaves out; what is still too long the backend says. */
function cutIn(
  body: string,
  { messages, measured, open = Infinity }: Cutting,
  contextLength: number,
): number | null {
  const bytes = Buffer.byteLength(body);
  const room = roomBytes({ contextLength, answerTokens: answerTokensIn(body), measured });
  if (bytes <= room) return null; // as most are: nothing needs to be weighed
  const turns = new Map<number, ContextMessage[]>();
  for (const message of messages)
    if (message.n < open) turns.set(message.n, [...(turns.get(message.n) ?? []), message]);
  const weighed = [...turns].map(([n, its]) => ({ n, bytes: bytesOf(its) }));
  return cutOf(weighed, { bytes, room });
}

/** As they are sent, each with a comma. */
const bytesOf = (messages: readonly ContextMessage[]): number =>
  historyTexts(messages, []).reduce((sum, text) => sum + Buffer.byteLength(text) + 1, 0);

function answerTokensIn(body: string): number | null {
  const members = topLevelMembers(body) ?? [];
  const limit = members.findLast(({ key }) => key === 'max_tokens' || key === 'max_completion_tokens');
  const count = limit && Number(body.slice(limit.valueStart, limit.valueEnd));
  return count !== undefined && Number.isInteger(count) && count > 0 ? count : null;
}

/** What the thread has besides what the turn brings, and the request once more: of a round it has both. */
function needsOfThread(messages: readonly ContextMessage[], open: number | undefined) {
  const others = messages.filter(({ n, role }) => n !== open || role !== 'user');
  return needsOfMessages(
    others.map(({ parts, content }) => ({
      content: parts === null ? content : (JSON.parse(parts) as unknown),
    })),
  );
}

async function composedOf(
  deps: EdgeDeps,
  actor: Actor,
  { composing, messages }: { composing: Composing; messages: readonly ContextMessage[] },
): Promise<Composed> {
  const { agent, request, sent, pin, personality, mayWait, open } = composing;
  const aimed = await aim(deps, actor, {
    request,
    translation: null,
    llmName: agent,
    pin,
    mayWait,
    personality: personality === '' ? null : personality,
    thread: { texts: historyTexts(messages, sent.added), needs: needsOfThread(messages, open) },
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
