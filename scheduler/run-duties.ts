import { setMaxListeners } from 'node:events';
import { messageOf } from '../core/errors.ts';
import type { Bus } from '../core/runtime/bus.ts';
import { pause, type Clock } from '../core/runtime/clock.ts';
import type { Duty } from './duties/duty.ts';
import type { Tally } from './tally.ts';

/** A turn that has not come to its end by then is given up: what it still does, done twice, changes nothing. */
const LONGEST_MS = 90_000;

/** Runs every duty at its own pace until the signal aborts; one that hangs or throws does not hold up the others. */
export async function runDuties(
  duties: readonly Duty[],
  { signal, bus, clock, tally }: { signal: AbortSignal; bus: Bus; clock: Clock; tally: Tally },
): Promise<void> {
  // Each duty listens for the end of its pause: many listeners are no leak here.
  setMaxListeners(0, signal);
  await Promise.all(
    duties.map(async (duty) => {
      while (!signal.aborted) {
        const began = clock.elapsed();
        try {
          const did = await within(duty.run(signal), LONGEST_MS);
          tally.ran(duty.name, did);
          if (did > 0)
            bus.emit('duty.finished', { duty: duty.name, ms: Math.round(clock.elapsed() - began), did });
        } catch (thrown) {
          tally.failed(duty.name);
          bus.emit('duty.failed', { duty: duty.name, error: messageOf(thrown) });
          await pause(Math.min(1_000, duty.everyMs * 4), signal);
        }
        await pause(Math.max(0, duty.everyMs - (clock.elapsed() - began)), signal);
      }
    }),
  );
}

async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`It has not ended within ${ms} ms.`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
