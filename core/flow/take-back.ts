import { isErrorCode, type ErrorCode } from '../errors.ts';
import { errorReasonOf, type ErrorReason } from '../task/error-reason.ts';
import { parseHandBack, type HandBack } from '../task/hand-back.ts';
import type { Fence } from '../queue/task/fence.ts';
import type { LostClaim } from '../registry/tasks/task-ends.ts';
import type { TaskAttempt } from '../registry/tasks/tasks.ts';
import type { TaskRow } from '../task/task.ts';
import { closeTask, type Closing } from './end/cancel.ts';
import type { FlowDeps } from './deps.ts';
import { takersIn, type Liveness, type LivePool } from './alive/liveness.ts';
import { lostClaim } from './end-dead.ts';
import {
  codeOfReason,
  failuresIn,
  isInALoop,
  isNotYet,
  isUnable,
  isWorthAsking,
  isWorthNoting,
  isWorthWaiting,
} from './alive/not-yet.ts';
import { requeueTask } from './requeue.ts';
import { isServed } from './alive/served.ts';
import { sleepersIn } from './alive/sleepers.ts';

export interface TakeBackDeps extends FlowDeps {
  liveness: Pick<Liveness, 'loadPool'>;
}

/** How often the backends of a task may fail before it is given up (docs/spec.md §5). */
const MOST_ATTEMPTS = 3;

/**
 * Decides about a task that its worker handed back: another member tries, or nobody is left to and it ends,
 * naming each attempt. A task that nobody waits for may have a member twice rather than end early. A backend that
 * is merely not ready is waited for, within the task's own time and however often it says so.
 * @returns `moved` when somebody else was quicker. Done twice it changes nothing.
 */
export async function takeBack(
  deps: TakeBackDeps,
  { row, fence }: { row: TaskRow; fence: Fence },
): Promise<'requeued' | 'ended' | 'moved'> {
  const pool = await deps.liveness.loadPool(row.poolName);
  const takers = takersIn(pool);
  const isLooping = isInALoop(fence, takers.length);
  const why = isLooping ? notLeaving(parseHandBack(fence.why)) : parseHandBack(fence.why);
  const reason = `${why.code}: ${why.message}`;
  const errorReason = errorReasonOf(why);
  const lost = lostClaim(fence, { counts: why.counts, reason, errorReason });
  const requeue = async (excluded: readonly string[]): Promise<'requeued' | 'moved'> =>
    (await requeueTask(deps, { row, fence, lost, excluded })) === 'ok' ? 'requeued' : 'moved';
  if (why.counts === 'none') return await requeue(excludedOf(fence));

  const excluded = [...excludedOf(fence), fence.llm];
  const before = await deps.registry.tasks.attempts(row.id);
  if (isNotYet(why.code)) {
    // It rests for now, so that others are quicker; it is not shut out, as it may be the first to be ready.
    if (mayHave(pool, row, [...excluded, ...unfitOf(fence)]) && isFirst(before, row))
      return await requeue(excludedOf(fence));
    const waits = canWait(row) || mayHave(pool, row, [...excludedOf(fence), ...unfitOf(fence)]);
    if (waits && !isLooping && isWorthWaiting(row, why, !canWait(row)))
      return await waitOn(deps, { row, fence, lost: isWorthNoting(before, reason) ? lost : undefined });
  } else if (isUnable(why.code)) {
    // It is not asked again, nor counted: whoever can is looked for, and those that failed otherwise may try again.
    if (isWorthAsking(before) && mayHave(pool, row, [...excluded, ...unfitOf(fence)]))
      return await requeue(excluded);
    const failures = failuresIn(before);
    if (canWait(row) && failures > 0 && failures < MOST_ATTEMPTS) return await requeue([fence.llm]);
  } else if (failuresIn(before) + 1 < MOST_ATTEMPTS) {
    if (mayHave(pool, row, [...excluded, ...unfitOf(fence)])) return await requeue(excluded);
    if (canWait(row)) return await requeue([]);
  }
  const llm = takers.find((m) => m.row.id === fence.llm)?.row.name ?? fence.llm;
  const { code, message } = await allAttempts(deps, row, { llm, why });
  const closing: Closing = {
    mode: { handedBackAt: fence.epoch },
    status: 'error',
    code,
    message,
    retryAfterS: why.retryAfterS,
    reason: why.reason,
    lost,
  };
  const closed = await closeTask(deps, row, closing);
  return closed === 'claimed' || closed === 'ended' ? 'moved' : 'ended';
}

/** Nothing is held against who leaves; but it is no leaving that is said again and again. */
function notLeaving(why: HandBack): HandBack {
  if (why.counts !== 'none') return why;
  const message = `It was let go of again and again: ${why.message}`;
  return { ...why, counts: 'attempt', code: 'unavailable', message };
}

/** Whether the task has attempts left that it counts: a member that is not ready uses up none of the last one. */
function isFirst(before: readonly unknown[], { attempts }: TaskRow): boolean {
  return before.length + 1 < MOST_ATTEMPTS && attempts + 1 < MOST_ATTEMPTS;
}

/** For the same members as before, without counting. */
async function waitOn(
  deps: FlowDeps,
  { row, fence, lost }: { row: TaskRow; fence: Fence; lost: LostClaim | undefined },
): Promise<'requeued' | 'moved'> {
  const about = { row, fence, excluded: excludedOf(fence) };
  const requeued = await requeueTask(deps, lost ? { ...about, lost: { ...lost, counts: 'none' } } : about);
  return requeued === 'ok' ? 'requeued' : 'moved';
}

/** Llm ids that failed the task. */
export function excludedOf(fence: Fence): string[] {
  return fence.excluded.split(',').filter((id) => id !== '');
}

/** Llm ids that cannot do it: nothing that happens changes that. */
export function unfitOf(fence: Fence): string[] {
  return fence.unfit.split(',').filter((id) => id !== '');
}

/** No caller holds a connection for it, so it may wait until a member that failed it answers again. */
function canWait({ source }: TaskRow): boolean {
  return source === 'async' || source === 'batch';
}

/** Is nobody left who may have a task that waits for another try? */
export function isForsaken(pool: LivePool, row: TaskRow, fence: Fence): boolean {
  const excluded = excludedOf(fence);
  return excluded.length > 0 && !mayHave(pool, row, [...excluded, ...unfitOf(fence)]);
}

/** Somebody else serves; or sleeps, and who waits for the task has it woken. */
function mayHave(pool: LivePool, row: TaskRow, not: readonly string[]): boolean {
  return isServed(pool, row.pin, not) || (!canWait(row) && sleepersIn(pool, row.pin, not).length > 0);
}

/** A task that waits for a member that has not failed it, when there is none any more: those that did may try again. */
export async function forgive(
  deps: FlowDeps,
  { row, fence }: { row: TaskRow; fence: Fence },
): Promise<boolean> {
  return canWait(row) && (await requeueTask(deps, { row, fence, excluded: [] })) === 'ok';
}

interface Heard {
  code: ErrorCode;
  message: string;
  /** What the last backend said beside the sentence. */
  reason?: ErrorReason;
}

/** The last thing that was heard of a task that has waited in vain, where a backend was not ready; null where none was. */
export async function whyWaited(
  deps: Pick<FlowDeps, 'registry'>,
  row: Pick<TaskRow, 'id'>,
): Promise<Heard | null> {
  return (await whyManyWaited(deps, [row.id])).get(row.id) ?? null;
}

/** The same of many, in one query; those of which nothing was heard are not in it. */
export async function whyManyWaited(
  { registry }: Pick<FlowDeps, 'registry'>,
  ids: readonly string[],
): Promise<Map<string, Heard>> {
  const attempts = await registry.tasks.attemptsOf(ids);
  return new Map(
    [...attempts].flatMap(([id, before]) => {
      const why = sumUp(before);
      return isNotYet(why.code) ? [[id, why] as const] : [];
    }),
  );
}

const LONGEST = 3_900;

/** What every attempt came to, as one sentence and the code of the last. */
export async function allAttempts(
  { registry }: Pick<FlowDeps, 'registry'>,
  row: Pick<TaskRow, 'id'>,
  last?: { llm: string; why: HandBack },
): Promise<Heard> {
  return sumUp(await registry.tasks.attempts(row.id), last);
}

function sumUp(
  before: readonly Pick<TaskAttempt, 'llm' | 'reason' | 'errorReason'>[],
  last?: { llm: string; why: HandBack },
): Heard {
  const all = before.map(({ llm, reason }) => `${llm}: ${reason}`);
  if (last) all.push(`${last.llm}: ${last.why.code}: ${last.why.message}`);
  const lastCode = last?.why.code ?? codeOfReason(before.at(-1)?.reason ?? '');
  const code = isErrorCode(lastCode) ? lastCode : 'backend_error';
  const errorReason = last ? errorReasonOf(last.why) : before.at(-1)?.errorReason;
  const beside = errorReason ? { reason: errorReason } : {};
  if (last && all.length === 1) return { code, message: last.why.message, ...beside };
  const listed = all.map((text, i) => `${i + 1}. ${text}`).join(' ');
  return { code, message: `No member could answer. ${listed}`.slice(0, LONGEST), ...beside };
}
