import { assemble, nothingSaid, type Assembled } from '../../agent/assemble.ts';
import type { CloseAnswer } from '../../queue/task/closing.ts';
import { faultOfRefusal } from '../../judge/fault.ts';
import type { Ending, Outcome } from '../../task/outcome.ts';
import type { TaskRow } from '../../task/task.ts';
import { refOf, type FlowDeps } from '../deps.ts';

/** A task, and where it is known whether it answers a turn of a thread: `turnId` is null for most. */
export type Ended = Pick<TaskRow, 'id' | 'poolName'> & {
  turnId?: TaskRow['turnId'] | undefined;
  /** What whoever waited for a turn's answer has seen of it, from its first event to its last; null: not all of it. */
  inHand?: Assembled | null | undefined;
  /** The whole of it, as it was at some time. */
  row?: TaskRow | undefined;
};

/** Only who does not have the row at hand asks for it. */
async function answersTurn(
  { registry }: Pick<FlowDeps, 'registry'>,
  { id, turnId }: Ended,
): Promise<boolean> {
  const turnOfTask = turnId === undefined ? (await registry.tasks.byId(id))?.turnId : turnId;
  return turnOfTask != null;
}

/**
 * What the thread keeps of an answer whose stream has ended: the whole of it, or what the events of the claim that ended tell.
 * @returns null for a task of no thread.
 */
export async function answerOfEnd(
  flow: FlowDeps,
  task: Ended,
  { outcome, claim }: Ending,
): Promise<Assembled | null> {
  if (!(await answersTurn(flow, task))) return null;
  if (outcome.kind === 'completed' && outcome.body !== undefined) return assemble(task.id, [outcome.body]);
  const answer = task.inHand ?? (await flow.dispatch.answerOf(refOf(task), claim));
  return outcome.kind === 'failed' && isTooLong(outcome) ? { ...answer, tooLong: true } : answer;
}

/** Its backend says so in its own words. */
const isTooLong = ({ code, status, body }: Extract<Outcome, { kind: 'failed' }>): boolean =>
  code === 'backend_rejected' &&
  body !== undefined &&
  faultOfRefusal({ status: status ?? 400, body }).tooLong === true;

/**
 * What the thread keeps of an answer that is cut short: what its caller was shown, and nothing of a claim that nobody was
 * shown anything of.
 */
export async function answerOfClose(
  flow: FlowDeps,
  task: Ended,
  { claim, wasShown }: Pick<Extract<CloseAnswer, { kind: 'closed' }>, 'claim' | 'wasShown'>,
): Promise<Assembled | null> {
  if (claim === '' || !(await answersTurn(flow, task))) return null;
  return wasShown ? await flow.dispatch.answerOf(refOf(task), claim) : nothingSaid;
}
