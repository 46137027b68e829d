import type { Clock } from '../core/runtime/clock.ts';
import type { Service } from '../core/runtime/process/service.ts';

const TICK_MS = 1_000;
/** Ticks that far apart: the machine slept, or the process was stopped. A busy one is not late by so much. */
const GAP_MS = 5_000;

/**
 * Notices that this process did not run for a while, within a second of its waking. Both clocks are asked: the one
 * that only grows stands still on some machines while they sleep.
 */
export function watchSleep(clock: Clock, onWake: (sleptMs: number) => void): Service {
  let timer: NodeJS.Timeout | undefined;
  let last = { now: 0, elapsed: 0 };
  const look = (): void => {
    const at = { now: clock.now(), elapsed: clock.elapsed() };
    const gapMs = Math.max(at.now - last.now, at.elapsed - last.elapsed);
    last = at;
    if (gapMs >= GAP_MS) onWake(gapMs);
  };
  return {
    name: 'sleep watch',
    start() {
      last = { now: clock.now(), elapsed: clock.elapsed() };
      timer = setInterval(look, TICK_MS);
    },
    stop: () => clearInterval(timer),
  };
}
