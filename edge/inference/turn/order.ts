import type { Actor } from '../../../core/access.ts';
import { aboutTokens, cutOf, expectedTokens, roomBytes, roomLeft } from '../../../core/agent/budget.ts';
import { historyTexts, isReady } from '../../../core/agent/history.ts';
import { McpctlError } from '../../../core/errors.ts';
import type { TurnComposition, TurnMade } from '../../../core/registry/threads/accept-turn.ts';
import type { ContextMessage, History, ThreadContext } from '../../../core/registry/threads/context.ts';
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
  /** In place of the agent's system prompt. */
  system?: string | undefined;
  /** Nothing of the thread may be left out. */
  isWhole?: boolean | undefined;
  /** Bytes of what was sent of it before, and was too long for its backend. */
  refused?: number | null;
  /** Tokens that there are no more of than that, whatever members say: a backend has read so many, and cut the rest. */
  within?: number | null;
}

type Composed = Omit<Order, 'source' | 'priority' | 'queueMs' | 'policy'>;

/** Members come and go meanwhile, and may have more room than those for whom the thread was read. */
const MOST_READS = 3;

/** A turn as it is sent, and of what that was made. */
interface ComposedTurn {
  composed: Composed;
  made: TurnMade;
}

/**
 * The order that a turn becomes with all that was said before it, as far as there is room for it; how long it may wait, and
 * who for, its caller says.
 * @throws McpctlError `agent_not_found`, `context_length_exceeded` where nothing may be left out, and as `aim`: the right to run is
 *   asked anew each time.
 */
export async function composeTurn(deps: EdgeDeps, actor: Actor, asked: Composing): Promise<ComposedTurn> {
  const { agent, pin, mayWait, request, isWhole, within = null } = asked;
  const composing = isWhole ? { ...asked, context: { ...asked.context, from: 1, leftOut: 0 } } : asked;
  const wanted = { asked: agent, pin, mayWait, needs: request.needs, translation: null };
  let contextLength = limitOf((await targetOf(deps, actor, wanted)).contextLength, within);
  for (let reads = 1; ; reads++) {
    const history = await historyFor(deps, composing, contextLength);
    const turn = await composeWith(deps, actor, { composing, history });
    const room = limitOf(turn.composed.target.contextLength, within);
    const readsAll = history.isAll || (room !== null && contextLength !== null && room <= contextLength);
    if (readsAll || reads === MOST_READS) return turn;
    contextLength = room;
  }
}

/** The smaller of what members say and of what was seen of them; null: neither is known. */
function limitOf(contextLength: number | null, within: number | null): number | null {
  const least = Math.min(contextLength ?? Infinity, within ?? Infinity);
  return least === Infinity ? null : least;
}

/** No more of a thread than its members have room for; what is being said now is not there yet. */
async function historyFor(
  deps: EdgeDeps,
  { threadId, context, open, without, refused = null }: Composing,
  contextLength: number | null,
): Promise<History> {
  if (threadId === null || !context.isSettled) return { messages: [], isAll: true };
  const { from, nextTurn: to, nextMessage: end, measured } = context;
  const room = contextLength === null ? null : roomBytes({ contextLength, answerTokens: 0, measured });
  const left = roomLeft(room, refused);
  return await deps.registry.threads.history({ threadId, from, to, end, open, without, room: left });
}

async function composeWith(
  deps: EdgeDeps,
  actor: Actor,
  { composing, history: { messages } }: { composing: Composing; history: History },
): Promise<ComposedTurn> {
  const { context, threadId, isWhole, within = null, refused = null } = composing;
  const composed = await composedOf(deps, actor, { composing, messages });
  const contextLength = limitOf(composed.target.contextLength, within);
  const { measured } = context;
  const from = cutIn(composed, { messages, measured, open: composing.open, contextLength, refused });
  if (from === null || threadId === null)
    return turnOf(
      { composing, composed, messages },
      { contextLength, from: context.from, leftOut: context.leftOut },
    );
  if (isWhole) throw tooLong(aboutTokens(Buffer.byteLength(composed.request.body), measured), contextLength);
  const kept = messages.filter(({ n }) => n >= from);
  const shorter = await composedOf(deps, actor, { composing, messages: kept });
  const leftOut = await deps.registry.threads.toldBefore(threadId, from);
  return turnOf({ composing, composed: shorter, messages: kept }, { contextLength, from, leftOut });
}

const tooLong = (tokens: number, contextLength: number | null): McpctlError =>
  new McpctlError(
    'context_length_exceeded',
    `With all of the thread this comes to about ${tokens} tokens, and ${contextLength ?? 0} is the most that its members take. Leave out truncation: disabled, and the oldest turns are left out.`,
  );

function turnOf(
  {
    composing,
    composed,
    messages,
  }: { composing: Composing; composed: Composed; messages: readonly ContextMessage[] },
  cut: Pick<TurnComposition, 'contextLength' | 'from' | 'leftOut'>,
): ComposedTurn {
  const { pin, personality, system, isWhole, context, open = Infinity, refused = null } = composing;
  const { agent, request } = composed;
  if (!agent) throw new McpctlError('agent_not_found');
  const expected = expectedTokens(Buffer.byteLength(request.body), context.measured);
  const turns = new Set(messages.filter(({ n }) => n < open).map(({ n }) => n)).size;
  const composition = { pin, personality, system, isWhole, ...cut, expected };
  const { from: _from, ...facts } = cut;
  const made = { ...agent.made(), ...facts, turns, expected, isShorter: refused !== null };
  const { toolsFrom } = agent;
  return { composed, made: { composition, made, mayShrink: turns > 0 && isWhole !== true, toolsFrom } };
}

interface Cutting extends Pick<ThreadContext, 'measured'> {
  messages: readonly ContextMessage[];
  open: number | undefined;
  contextLength: number | null;
  refused: number | null;
}

/** An estimate leaves out; what is still too long the backend says. */
function cutIn(
  { request: { body }, agent }: Composed,
  { messages, measured, open = Infinity, contextLength, refused }: Cutting,
): number | null {
  const bytes = Buffer.byteLength(body);
  const answerTokens = agent?.answerTokens ?? null;
  const all = contextLength === null ? null : roomBytes({ contextLength, answerTokens, measured });
  const room = roomLeft(all, refused);
  if (room === null || bytes <= room) return null; // as most are: nothing needs to be weighed
  const turns = new Map<number, ContextMessage[]>();
  for (const message of messages) {
    if (message.n >= open) continue;
    const its = turns.get(message.n);
    if (its) its.push(message);
    else turns.set(message.n, [message]);
  }
  const weighed = [...turns].map(([n, its]) => ({ n, bytes: bytesOf(its) }));
  return cutOf(weighed, { bytes, room });
}

/** As they are sent, each with a comma. */
const bytesOf = (messages: readonly ContextMessage[]): number =>
  historyTexts(messages, []).reduce((sum, text) => sum + Buffer.byteLength(text) + 1, 0);

/** What the thread has besides what the turn brings, and the request once more: of a round it has both. */
function needsOfThread(messages: readonly ContextMessage[], open: number | undefined) {
  let bytes = 0;
  const odd: unknown[] = [];
  for (const message of messages) {
    if (message.n === open && message.role === 'user') continue;
    if (isReady(message)) bytes += message.contentBytes;
    else {
      const { parts, content } = message;
      odd.push({ content: parts === null ? content : (JSON.parse(parts) as unknown) });
    }
  }
  return needsOfMessages(odd, bytes);
}

async function composedOf(
  deps: EdgeDeps,
  actor: Actor,
  { composing, messages }: { composing: Composing; messages: readonly ContextMessage[] },
): Promise<Composed> {
  const { agent, request, sent, pin, personality, system, mayWait, open, context } = composing;
  const aimed = await aim(deps, actor, {
    request,
    translation: null,
    llmName: agent,
    pin,
    mayWait,
    personality: personality === '' ? null : personality,
    system,
    offersTools: true,
    thread: {
      texts: [...(sent.before ?? []), ...historyTexts(messages, sent.added)],
      needs: needsOfThread(messages, open),
      measured: context.measured,
    },
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
