import { pause } from '../../../core/runtime/clock.ts';
import type { Manner } from '../backend.ts';
import type { Fault, Trial } from '../trial.ts';
import { until } from './fault.ts';

/** One backend of three fails in this manner for a while: the load goes on over all of them. */
function manner(name: string, how: Manner, forMs: number): Fault {
  return {
    name,
    spanMs: 25_000,
    async strike(trial) {
      const [, , worker] = trial.world.workers;
      const { backend } = worker;
      const before = failures(trial, how);
      backend.manner = how;
      for (let n = 0; n < 6; n += 1) {
        trial.place({ door: 'v1', mode: 'stream', pool: worker.solo, pieces: 6, gapMs: 20 });
      }
      await pause(forMs);
      await until(() => failures(trial, how) > before, trial.within(10_000));
      const hit = failures(trial, how) - before;
      backend.manner = 'well';
      const healing = trial.heal(performance.now(), { pool: worker.solo });
      const proof = `the backend of ${worker.name} failed ${String(hit)} requests in this way`;
      return { happened: hit > 0, healing, proof };
    },
  };
}

const failures = ({ world }: Trial, how: Manner): number =>
  world.workers.reduce((sum, { backend }) => sum + backend.failures(how), 0);

export const backendHangs = manner('backend hangs (stall limit 3 s)', 'hang-midway', 5_000);
export const backendResets = manner('backend resets mid-stream', 'reset', 4_000);
export const backendStops = manner('backend ends without finish_reason', 'no-finish', 4_000);
export const backendBabbles = manner('backend sends garbage', 'garbage', 4_000);
export const backendSilent = manner('backend accepts and says nothing (stall limit 3 s)', 'hang', 5_000);
export const backendRefuses = manner('backend answers 503', 'refuse', 4_000);
