import type { Request, Response } from 'express';
import { untilClosed, type Caps } from '../limits/caps.ts';
import { actorOf } from '../http/context.ts';

/** What a body may take. */
export interface Room {
  limit: number;
  /** Makes sure of room for so many bytes in all. @throws McpctlError `too_many_requests`. */
  reserve: (bytes: number) => void;
}

/**
 * Room under the caller's cap for the most that was asked for so far, until the answer is complete. A little more is
 * taken each time, up to `limit`, so that a body of small pieces does not ask for each.
 */
export function roomFor(
  { req, res, limit = 0 }: { req: Request; res: Response; limit?: number },
  caps: Pick<Caps, 'hold'>,
): Room['reserve'] {
  const releases: (() => void)[] = [];
  let reserved = 0;
  untilClosed(res, () => releases.splice(0).forEach((release) => release()));
  return (bytes) => {
    if (bytes <= reserved || res.destroyed) return;
    // The first is what was declared, where that was.
    const spare = reserved === 0 ? 0 : bytes >> 3;
    const most = Math.max(bytes, Math.min(limit, bytes + spare));
    releases.push(caps.hold(actorOf(req), { bytes: most - reserved, streaming: false }));
    reserved = most;
  };
}

/**
 * Makes sure of room for so many bytes of the answer, under its reader's cap, until it is complete; said before they are
 * fetched. @throws McpctlError `too_many_requests`.
 */
export function reserveAnswer(req: Request, caps: Pick<Caps, 'hold'>, bytes: number): void {
  const { res, context } = req;
  if (!res) return;
  context.answerRoom ??= roomFor({ req, res }, caps);
  context.answerRoom(bytes);
}
