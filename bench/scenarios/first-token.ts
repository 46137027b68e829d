import { scripted } from '../backend/script.ts';
import type { Measured } from '../load/job.ts';
import { added, callsOf, faultsOf, inTurn, rowsOf } from '../report/rounds.ts';
import { median } from '../report/stats.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const TOKENS = 5;
const bodies = [scripted({ tokens: TOKENS })];
const p50 = ({ first }: Measured): number => median(first);

async function run(bench: Bench): Promise<Result> {
  const [rounds, calls, warmUps] = bench.quick ? [2, 3, 1] : [5, 200, 50];
  const lanes = await inTurn(bench, {
    name: 'first-token',
    rounds,
    warmUp: { bodies, concurrency: 1, calls: warmUps, tokens: TOKENS },
    job: { bodies, concurrency: 1, calls, tokens: TOKENS },
    show: (measured) => `${p50(measured).toFixed(2)} ms`,
  });
  return {
    rows: rowsOf(lanes, { what: 'first token', of: ({ first }) => first }),
    comparisons: added(lanes, { what: 'p50', of: p50 }),
    derived: {},
    calls: warmUps + callsOf(lanes),
    faults: faultsOf(lanes),
  };
}

export const firstToken: Scenario = {
  name: 'first-token',
  about:
    'From the call to the first token at the caller, one call at a time over a kept connection, the backend ' +
    'answering at once with five tokens, the endpoints in turn call by call. In it: token check, row committed, ' +
    'queue, claim, the worker’s call of the backend, the event’s way back. Not in it: TLS, a network.',
  baselines: true,
  run,
};
