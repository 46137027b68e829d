import type { HandBack } from '../../task/hand-back.ts';
import type { Fence } from '../../queue/task/fence.ts';
import type { TaskRow } from '../../task/task.ts';
import { isErrorCode } from '../../errors.ts';

/** What says that a backend will do it, and not now: neither a failure nor an attempt that is used up. */
const notYet: ReadonlySet<string> = new Set(['backend_not_ready', 'too_many_requests']);

export function isNotYet(code: string): boolean {
  return notYet.has(code);
}

/** How many of such answers are written down with a task: it may be waited for much longer than that is of interest. */
const MOST_NOTED = 8;

/** The code that the reason of an attempt begins with. */
export function codeOfReason(reason: string): string {
  return /^(\w+): /.exec(reason)?.[1] ?? '';
}

/** How many of these attempts failed; one that was asked for what it cannot do has not. */
export function failuresIn(attempts: readonly { reason: string }[]): number {
  const codes = attempts.map(({ reason }) => codeOfReason(reason));
  const isFailure = (code: string): boolean => !isNotYet(code) && !isUnable(code) && code !== 'shutting_down';
  return codes.filter((code) => isErrorCode(code) && isFailure(code)).length;
}

/** What says that a member has not failed, and never can do it: its model, or its backend, does not take it. */
export function isUnable(code: string): boolean {
  return code === 'no_capable_member';
}

/** How many members of a pool are asked for what those before could not do. */
const MOST_ASKED = 8;

/** Whether yet another member is worth being asked. */
export function isWorthAsking(attempts: readonly { reason: string }[]): boolean {
  return attempts.filter(({ reason }) => isUnable(codeOfReason(reason))).length + 1 < MOST_ASKED;
}

export function isWorthNoting(attempts: readonly { reason: string }[], reason: string): boolean {
  return attempts.length < MOST_NOTED || attempts.at(-1)?.reason !== reason;
}

/** Seconds that a caller who waits is made to wait for a backend that is busy and says for how long. */
const LONGEST_BUSY_S = 5;

/** How often a task may come back beside once a second from each member. */
const SOME_ROUNDS = 16;

/**
 * Whether a task has been taken and let go of more often than members do who rest for a second each time, and some times
 * more: whoever lets go of it as soon as it is had will go on so. By Redis's clock, of which a step says nothing.
 */
export function isInALoop(
  { epoch, since, claimedAt = 0 }: Pick<Fence, 'epoch' | 'since' | 'claimedAt'>,
  members: number,
): boolean {
  if (since === undefined || claimedAt < since.at) return false;
  return epoch - since.epoch > SOME_ROUNDS + (Math.max(1, members) * (claimedAt - since.at)) / 1_000;
}

/**
 * Whether what the backend asks for fits into the time that there is: all that its caller or the task gave it. A
 * backend that is busy for longer than moments is told of at once to whoever waits: their client knows what to do.
 */
export function isWorthWaiting(
  { queueDeadline, createdAt }: Pick<TaskRow, 'queueDeadline' | 'createdAt'>,
  { code, retryAfterS = 0 }: HandBack,
  someoneWaits: boolean,
): boolean {
  const wholeMs = queueDeadline.getTime() - createdAt.getTime();
  if (someoneWaits && code === 'too_many_requests') return retryAfterS <= LONGEST_BUSY_S;
  return retryAfterS * 1_000 <= wholeMs;
}
