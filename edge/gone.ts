import type { Response } from 'express';

/** The status of a call whose caller has gone, as nginx has it: it is in logs alone. */
export const LEFT = 499;

/** Aborts when the caller's connection closes before the answer was complete, or this edge leaves. */
export function whenGone(res: Response, leaving: AbortSignal): { gone: AbortSignal; forget: () => void } {
  const gone = new AbortController();
  const leave = (): void => gone.abort();
  leaving.addEventListener('abort', leave, { once: true });
  res.once('close', () => {
    if (!res.writableFinished) gone.abort();
  });
  if (res.destroyed || leaving.aborted) gone.abort();
  return { gone: gone.signal, forget: () => leaving.removeEventListener('abort', leave) };
}
