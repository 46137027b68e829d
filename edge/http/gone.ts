import type { Response } from 'express';
import type { Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import type { EdgeDeps } from '../deps.ts';
import { pause } from '../../core/runtime/clock.ts';
import { untilClosed } from '../limits/caps.ts';
import { cut, holdAnswer } from './held-answer.ts';

interface There {
  res: Response;
  poolKey: string;
  /** Of what is not the caller's own: whether they may still, as they are granted by then. @returns why not. */
  whyNot?: ((now: Actor) => McpctlError | undefined) | undefined;
}

const listeners = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls back when a signal that very many listen to aborts: each of them costs the same, whoever else does. To add a listener to a
 * signal takes longer with each that it has. Must not throw.
 * @returns the way to stop; nothing is called for a signal that has aborted before.
 */
function atAbort(signal: AbortSignal, act: () => void): () => void {
  let acts = listeners.get(signal);
  if (!acts) {
    const all = new Set<() => void>();
    acts = all;
    listeners.set(signal, all);
    signal.addEventListener('abort', () => all.forEach((one) => one()), { once: true });
  }
  acts.add(act);
  return () => void acts.delete(act);
}

/**
 * Does something for as long as its caller is there. Whether they may is asked until they have taken all of the answer.
 * @param work its signal aborts when the caller's connection closes before the answer was complete, when this edge
 *   leaves, or when the caller's token is not good any more, or they may not any more what they do; `whyGone` tells what a caller who is still there is to hear.
 */
export async function whileThere<T>(
  deps: Pick<EdgeDeps, 'leaving' | 'authority'>,
  there: There,
  work: (gone: AbortSignal) => Promise<T>,
): Promise<T> {
  const { gone, forget } = whenGone(deps, there);
  try {
    return await work(gone);
  } finally {
    forget();
  }
}

function whenGone(
  { leaving, authority }: Pick<EdgeDeps, 'leaving' | 'authority'>,
  { res, poolKey, whyNot }: There,
): { gone: AbortSignal; forget: () => void } {
  const gone = new AbortController();
  const leave = (): void => gone.abort(new McpctlError('shutting_down', undefined, { retryAfterS: 1 }));
  const stay = atAbort(leaving, leave);
  untilClosed(res, holdAnswer(authority, { res, poolKey, whyNot, end: (why) => gone.abort(why) }));
  const closed = (): void => {
    if (!res.writableFinished) gone.abort();
  };
  res.once('close', closed);
  if (res.destroyed) gone.abort();
  if (leaving.aborted) leave();
  const forget = (): void => {
    stay();
    res.off('close', closed);
  };
  return { gone: gone.signal, forget };
}

/** Then whoever reads it comes again, and who it is is asked as of anybody. */
const LONGEST_MS = 3_600_000;

interface Endless {
  res: Response;
  /** Whether they may still, as they are granted by then. @returns why not. */
  whyNot: (now: Actor) => McpctlError | undefined;
  /** May be called more than once. Must not throw. */
  end: (why: McpctlError | 'again' | 'stopping' | 'left') => void;
}

/**
 * Ends a stream that has no end of its own: its reader has left or may not any more, an hour is over, or this edge stops.
 * @returns lets go of it, once it is over.
 */
export function untilOver(
  { authority, stopping }: Pick<EdgeDeps, 'authority' | 'stopping'>,
  { res, whyNot, end }: Endless,
): () => void {
  const release = holdAnswer(authority, { res, whyNot, end });
  const longest = setTimeout(() => end('again'), LONGEST_MS).unref();
  const stay = atAbort(stopping, () => end('stopping'));
  const left = whenLeft(res);
  left.addEventListener('abort', () => end('left'), { once: true });
  if (left.aborted) end('left');
  else if (stopping.aborted) end('stopping');
  return () => {
    release();
    clearTimeout(longest);
    stay();
  };
}

const signals = new WeakMap<Response, AbortSignal>();

/** Aborts when the caller's connection closes. The same signal however often it is asked for: Node takes many listeners for a leak. */
export function whenLeft(res: Response): AbortSignal {
  const before = signals.get(res);
  if (before) return before;
  const left = new AbortController();
  signals.set(res, left.signal);
  untilClosed(res, () => left.abort());
  return left.signal;
}

const LOOK_MS = 1_000;

/** Of an answer that stands on something else than its caller's token: looks each second whether they may have it still, and cuts it. Never rejects. */
export async function cutWhenNot(res: Response, mayStill: () => Promise<boolean>): Promise<void> {
  const left = whenLeft(res);
  for (await pause(LOOK_MS, left); !left.aborted; await pause(LOOK_MS, left))
    if (!(await mayStill().catch(() => true))) cut(res); // nobody can be asked: that is no answer
}

/** What to tell the caller of a call that was broken off here; null when it is the caller who went away. */
export function whyGone(gone: AbortSignal, taskId: string): McpctlError | null {
  const why: unknown = gone.reason;
  if (!gone.aborted || !(why instanceof McpctlError)) return null;
  const retry = why.retryAfterS === undefined ? {} : { retryAfterS: why.retryAfterS };
  return new McpctlError(why.code, why.message, { taskId, ...retry });
}

/** @throws McpctlError `unauthenticated`, `forbidden` when the caller's token ended while it waited. */
export function needStillGood(gone: AbortSignal, taskId: string): void {
  const why = whyGone(gone, taskId);
  if (why !== null && why.code !== 'shutting_down') throw why;
}
