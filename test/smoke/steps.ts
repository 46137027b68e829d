import { messageOf } from '../../core/errors.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { SmokeFailure } from './failure.ts';

const STEP_MS = 20_000;

/** Runs a step under a bound and prints its line: ✓ or ✗, what was done, how long it took. */
export type Step = <T>(title: string, work: () => Promise<T>) => Promise<T>;

export function createSteps(print: (line: string) => void, stop: AbortSignal): Step {
  return async (title, work) => {
    const from = clock.elapsed();
    const took = (): string => `(${(clock.elapsed() - from).toFixed(0)} ms)`;
    let timer: NodeJS.Timeout | undefined;
    let interrupted: () => void = () => undefined;
    const broken = new Promise<never>((_, reject) => {
      const late = `it took longer than ${String(STEP_MS / 1_000)} s.`;
      timer = setTimeout(() => reject(new SmokeFailure(late)), STEP_MS);
      interrupted = () => reject(new SmokeFailure('interrupted.'));
      stop.addEventListener('abort', interrupted, { once: true });
      if (stop.aborted) interrupted();
    });
    try {
      const result = await Promise.race([work(), broken]);
      print(`✓ ${title} ${took()}`);
      return result;
    } catch (thrown) {
      print(`✗ ${title} ${took()}`);
      throw new SmokeFailure(`${title}: ${messageOf(thrown)}`, { cause: thrown });
    } finally {
      clearTimeout(timer);
      stop.removeEventListener('abort', interrupted);
    }
  };
}
