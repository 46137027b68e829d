import { v7 } from 'uuid';
import { MOST_ROUNDS } from '../../../core/agent/thread.ts';
import { McpctlError } from '../../../core/errors.ts';
import type { ReadyTurn } from '../../../core/registry/threads/tool-results.ts';
import type { EdgeDeps } from '../../deps.ts';
import { readRequest } from '../ask/request.ts';
import { leaveAccepted, newTask, type Order } from '../ask/submit.ts';
import { composeTurn } from './order.ts';
import { sentTurn } from './sent.ts';

/** For now: the same turn is started by a later look. */
const passing = ['unavailable', 'too_many_requests', 'queue_full', 'no_active_llm'];
export const isPassing = ({ code }: McpctlError): boolean => passing.includes(code);

/** What is asked for a turn for which nobody needs to wait. */
export const inLine = ({ config }: EdgeDeps): Pick<Order, 'source' | 'priority' | 'queueMs' | 'policy'> => ({
  source: 'agent',
  priority: 'interactive',
  queueMs: config.queueAsyncMs,
  policy: { onDisconnect: 'continue', graceSeconds: null },
});

/**
 * Begins the next round of a thread's turn, if all the results that it waits for are there: it is composed of what the turn has said
 * so far, with the rights that its caller's token has now. Many may do so at once; one does.
 * @returns whether there was one.
 */
export async function startRound(deps: EdgeDeps, threadId: string): Promise<boolean> {
  const turn = await deps.registry.threads.ready(threadId);
  if (!turn) return false;
  try {
    await start(deps, turn);
  } catch (thrown) {
    if (!(thrown instanceof McpctlError) || thrown.code === 'internal') throw thrown;
    if (isPassing(thrown)) return true;
    const { code, message } = thrown;
    await deps.registry.threads.endWaiting(turn.id, { status: 'error', code, message });
  }
  return true;
}

async function start(deps: EdgeDeps, turn: ReadyTurn): Promise<void> {
  const { registry, caps } = deps;
  if (turn.rounds >= MOST_ROUNDS) throw new McpctlError('tool_rounds_exceeded');
  const actor = await registry.tokens.actorOfId(turn.tokenId);
  if (actor?.userId !== turn.ownerId)
    throw new McpctlError('unauthenticated', 'The token that this was said with is not good any more.');
  const request = await readRequest('chat', turn.request, { owner: turn.ownerId });
  const context = await registry.threads.context(turn.threadId, turn.ownerId);
  const { composed, composition } = await composeTurn(deps, actor, {
    ...{ agent: turn.agent, request, context, open: turn.n },
    sent: { ...sentTurn(turn.request), added: [], messages: [] },
    pin: turn.pin ?? undefined,
    personality: turn.personality ?? undefined,
    mayWait: true,
  });
  const order = { ...composed, ...inLine(deps) };
  const of = { id: turn.id, threadId: turn.threadId };
  const task = { ...newTask(deps, actor, { order, id: v7() }), turn: of };
  const to = { poolKey: task.poolKey, bytes: Buffer.byteLength(task.requestBody) };
  const started = await caps.admit(actor, to, () =>
    registry.threads.startRound({ turn, seen: context.revision, task, composition }),
  );
  if (started) await leaveAccepted(deps, order, started.row);
}
