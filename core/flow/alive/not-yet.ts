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

/** How many of these attempts failed. */
export function failuresIn(attempts: readonly { reason: string }[]): number {
  const codes = attempts.map(({ reason }) => codeOfReason(reason));
  return codes.filter((code) => isErrorCode(code) && !isNotYet(code) && code !== 'shutting_down').length;
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
