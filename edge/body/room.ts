import type { Request, Response } from 'express';
import { untilClosed, type Caps } from '../caps.ts';
import { actorOf } from '../context.ts';

/** What a body may take. */
export interface Room {
  limit: number;
  /** Makes sure of room for so many bytes in all. @throws McpctlError `too_many_requests`. */
  reserve: (bytes: number) => void;
}

/** Room under the caller's cap for the most that was asked for so far, until the answer is complete. */
export function roomFor(
  { req, res }: { req: Request; res: Response },
  caps: Pick<Caps, 'hold'>,
): Room['reserve'] {
  let release = (): void => undefined;
  let reserved = 0;
  untilClosed(res, () => release());
  return (bytes) => {
    if (bytes <= reserved || res.destroyed) return;
    release();
    release = caps.hold(actorOf(req), { bytes, streaming: false });
    reserved = bytes;
  };
}
