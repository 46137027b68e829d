import type { ServerResponse } from 'node:http';
import type { Metrics } from '../metrics/metrics.ts';

/** How long a reader may take nothing before it is dropped, where no setting says otherwise. */
const STALLED_READER_MS = 30_000;
/** In so many parts: while this process itself is held up nobody can be seen to take anything, and that counts as one of them. */
const LOOKS = 4;

export interface Delivery {
  stalledMs?: number;
  /** Called when a reader is dropped. */
  onStalled?: (() => void) | undefined;
}

/**
 * Resolves when an answer's reader has taken what was written, or has gone. One that takes nothing for so long is
 * dropped; an answer whose turn on its connection has not come yet is not waiting for its reader.
 */
export function untilTaken(
  res: ServerResponse,
  event: 'drain' | 'finish',
  { stalledMs = STALLED_READER_MS, onStalled }: Delivery = {},
): Promise<void> {
  return new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      res.off(event, done).off('close', done);
      resolve();
    };
    let looks = 0;
    const look = (): void => {
      const isItsTurn = res.socket !== null || res.destroyed || res.closed;
      looks = isItsTurn ? looks + 1 : 0;
      if (looks < LOOKS) {
        timer = setTimeout(look, stalledMs / LOOKS);
        return;
      }
      onStalled?.();
      res.destroy();
      done();
    };
    let timer = setTimeout(look, stalledMs / LOOKS);
    res.once(event, done).once('close', done);
  });
}

/** How an edge's answers are delivered. */
export function deliveryOf(deps: {
  config: { stalledReaderMs: number };
  metrics: Pick<Metrics, 'stalled'>;
}): Delivery {
  return { stalledMs: deps.config.stalledReaderMs, onStalled: () => deps.metrics.stalled() };
}
