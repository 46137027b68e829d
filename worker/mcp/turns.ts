import type { Readable } from 'node:stream';

/** What took longer is rested for as long. */
const LITTLE_MS = 1;

/**
 * Reads what a child prints, one piece in each turn of the event loop, and rests for as long as hearing it took: one that prints without
 * end has half of the loop at most, and waits for its own output; the other servers of its worker have theirs.
 */
export function readInTurns(stream: Readable, hear: (piece: Buffer) => void): void {
  const goOn = (): void => void stream.resume();
  stream.on('data', (piece: Buffer) => {
    stream.pause();
    const from = performance.now();
    hear(piece);
    const tookMs = performance.now() - from;
    if (tookMs < LITTLE_MS) setImmediate(goOn);
    else setTimeout(goOn, tookMs);
  });
}
