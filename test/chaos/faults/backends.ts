import { pause } from '../../../core/runtime/clock.ts';
import type { Manner } from '../backend.ts';
import type { Fault, Trial } from '../trial.ts';
import { seconds, until } from './fault.ts';

/** One backend of three fails in this manner for a while: the load goes on over all of them. */
function manner(name: string, how: Manner, forMs: number): Fault {
  return {
    name,
    sparesTools: true,
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

/** The network between a worker and its backend swallows everything, and says nothing. */
export const backendHalfOpen: Fault = {
  name: 'backend half-open (stall limit 3 s)',
  sparesTools: true,
  wired: true,
  spanMs: 25_000,
  async strike(trial) {
    const [, , worker] = trial.world.workers;
    const wire = worker.wires.backend;
    const streams = await trial.openStreams(10, { pool: worker.solo, pieces: 40, gapMs: 200 });
    const connections = wire.connections();
    const before = wire.struck().swallowed;
    const at = performance.now();
    wire.blackhole({ newOnes: 'open' });
    const healing = trial.heal(at, { pool: worker.solo });
    const ends = await Promise.all(streams.map(({ done }) => done));
    const last = Math.max(at, ...ends.map(({ endedAt }) => endedAt)) - at;
    const swallowed = wire.struck().swallowed - before;
    return {
      ...{ happened: connections > 0 && swallowed > 0, healing },
      proof: `${String(connections)} connections of ${worker.name} to its backend were left half-open; the wire swallowed ${String(swallowed)} bytes; ${String(streams.length)} streams were open`,
      notes: [`the last of those streams was told after ${seconds(last)}`],
    };
  },
};
