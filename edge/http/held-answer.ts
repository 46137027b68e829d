import type { Response } from 'express';
import type { Actor } from '../../core/access.ts';
import type { McpctlError } from '../../core/errors.ts';
import type { Authority } from '../believed/authority.ts';
import { actorOf } from './context.ts';

/** So long what is said of the end has to get to its reader; then nothing of the answer goes on. */
const LAST_WORDS_MS = 1_000;

interface Held {
  res: Response;
  /** Of the pool that it is about. */
  poolKey?: string | undefined;
  /** Of what is not the caller's own: whether they may still, as they are granted by then. @returns why not. */
  whyNot?: ((now: Actor) => McpctlError | undefined) | undefined;
  /** Called once. Must not throw. */
  end?: (why: McpctlError) => void;
}

const nothing = (): undefined => undefined;

/**
 * Asks about its caller for as long as an answer is under way, taken slowly or not: their token, the browser they sit at, and
 * what they may. What it ends has a moment to say so, and is cut.
 * @returns lets go of it: it is over.
 */
export function holdAnswer(
  authority: Pick<Authority, 'hold'>,
  { res, poolKey, whyNot, end }: Held,
): () => void {
  const { tokenId, userName, by } = actorOf(res.req);
  const { browser } = res.req.context;
  // Who acts as another may do so for as long as that may be, whatever it is that they do.
  const rights = by ? { as: userName, whyNot: whyNot ?? nothing } : whyNot && { whyNot };
  let cutting: NodeJS.Timeout | undefined;
  const release = authority.hold({
    ...{ tokenId, browser, poolKey, rights },
    end(why) {
      end?.(why);
      cutting = setInterval(() => cut(res), LAST_WORDS_MS);
    },
  });
  return () => {
    release();
    clearInterval(cutting);
  };
}

/** With what the system has taken and not sent. What has not begun is no answer yet: who waits is asked for again before it is. */
export function cut(res: Response): void {
  if (!res.headersSent || res.closed) return;
  if (res.socket) res.socket.resetAndDestroy();
  else res.destroy();
}
