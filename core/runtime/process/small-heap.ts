import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** By how much V8 makes the room for new objects larger when many of them stay: its own value. */
const USUAL_GROWTH = 2;

/**
 * Keeps the room for new objects as small as V8 begins with, until `letHeapGrow`. Starting makes many that stay, so it
 * would become 32 MB, which V8 gives back to some idle processes and to others never. It is collected more often for
 * that: starting takes some milliseconds longer.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}

/**
 * Collects the heap once, all of it, in some 20 ms, and lets it grow as usual. Starting fills it with what is used once,
 * and a process that nobody calls never comes to a full collection by itself.
 */
export function letHeapGrow(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('globalThis.gc') as (() => void) | undefined;
  setFlagsFromString('--no-expose-gc');
  collect?.();
  setFlagsFromString(`--semi-space-growth-factor=${String(USUAL_GROWTH)}`);
}
