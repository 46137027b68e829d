import type { Actor } from '../../../../core/access.ts';
import { McpctlError, messageOf } from '../../../../core/errors.ts';
import { forgetCall } from '../../../../core/flow/forget-call.ts';
import { goesOn, type Policy } from '../../../../core/task/disconnect.ts';
import type { Wishes } from '../../ask/headers.ts';
import type { MakeForm } from '../../form/form.ts';
import type { EdgeDeps } from '../../../deps.ts';
import { actorOf } from '../../../http/context.ts';
import type { Call, TurnDoor } from '../../ask/call.ts';
import { calledAs, type AskedTurn } from '../asked-turn.ts';
import type { KnownPlace } from '../form.ts';
import { hashConversation, keptAs, sentIn, type SentTurn } from '../sent.ts';

/*
 * A call of an agent outside of any thread, whose calls of tools the server runs, is the one turn of a thread that nobody sees: so whoever
 * dies, its calls are run once, and what its token may is asked each time (docs/decisions/0083-a-call-with-tools-is-a-turn-that-passes.md).
 */

/** @throws McpctlError `invalid_request` for one that nobody waits for: it would be a turn to come back to, and has no thread. */
export function passingTurn(
  { llmName, body, wishes }: Pick<Call, 'llmName' | 'wishes'> & { body: string },
  { door, form }: { door: TurnDoor; form: MakeForm | undefined },
): AskedTurn {
  if (wishes.respondAsync) throw needsThread(llmName);
  const { name = llmName, personality } = calledAs({ agent: null, personality: undefined }, llmName);
  const about = { agent: name, personality, threadId: null, body };
  return { source: door, ...about, onBusy: 'reject', passing: { form } };
}

/** What is asked of an agent with tools of its project, and not waited for. */
export const needsThread = (agent: string): McpctlError =>
  new McpctlError(
    'invalid_request',
    `The agent '${agent}' calls tools of its project. Wait for its answer, or ask for it in a thread: POST /api/v1/agents/${agent}/chat with Prefer: respond-async.`,
  );

/** What becomes of it when its caller leaves: a turn of a thread goes on, and so does a call that its caller comes back for. */
export const policyOf = ({ passing }: AskedTurn, { policy, idempotencyKey }: Wishes): Policy =>
  policy ??
  (passing && idempotencyKey === undefined ? { onDisconnect: 'cancel', graceSeconds: null } : goesOn);

/** Results that a client brings for a turn of its own that waits for them. */
export interface BroughtResults {
  threadId: string;
  n: number;
  results: SentTurn['messages'];
}

/**
 * The turn that a conversation goes on with: what it ends in are results of calls that its client was shown, and up to the answer that made
 * them it is what the turn was asked with. So what the server ran meanwhile is not forgotten, and not run again.
 */
export async function broughtResults(
  { registry }: Pick<EdgeDeps, 'registry'>,
  actor: Actor,
  { agent, before: texts }: { agent: string; before: readonly string[] },
): Promise<BroughtResults | undefined> {
  // From behind: of most conversations one message is looked at, and they are long.
  const at = texts.findLastIndex((text) => sentIn(text).role !== 'tool');
  const results = texts.slice(at + 1).map((text) => keptAs('tool', sentIn(text)));
  const callId = results[0]?.toolCallId;
  if (callId == null || sentIn(texts[at] ?? '{}').role !== 'assistant') return undefined;
  const asked = hashConversation(texts.slice(0, at));
  const goneOnWith = hashConversation(texts.slice(at), asked);
  const turn = await registry.threads.passingTurn({
    ...{ ownerId: actor.userId, agent, callId },
    ...{ asked: asked.digest('hex'), goneOnWith: goneOnWith.digest('hex') },
  });
  return turn && { ...turn, results };
}

/**
 * Of a call whose caller wants nothing of it kept nothing is, once they have its answer. What they did not come for, and what fails here, the
 * scheduler drops.
 */
export function forgetPassing(
  deps: EdgeDeps,
  { req, res, wishes: { retention } }: Call,
  { current, isPassing }: KnownPlace,
): void {
  if (!isPassing || !current || retention !== 'none') return;
  const { threadId } = current;
  const { userId: ownerId } = actorOf(req);
  const forget = async (): Promise<void> => {
    try {
      await forgetCall(deps, { id: threadId, ownerId });
    } catch (thrown) {
      deps.log.warn({ threadId, why: messageOf(thrown) }, 'what was said in a call is not forgotten yet');
    }
  };
  if (res.writableFinished) void forget();
  else res.once('finish', () => void forget());
}
