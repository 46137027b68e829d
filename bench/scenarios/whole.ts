import { scripted } from '../backend/script.ts';
import {
  added,
  callsOf,
  cpuOf,
  faultsOf,
  inBlocks,
  inTurn,
  p50,
  perSecond,
  ratios,
  rowsOf,
} from '../report/rounds.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const bodies = [scripted({ tokens: 5 }, { stream: false })];

async function one(bench: Bench): Promise<Result> {
  const [rounds, calls, warmUps] = bench.quick ? [1, 3, 1] : [5, 300, 100];
  const lanes = await inTurn(bench, {
    name: 'whole-1',
    rounds,
    warmUp: { bodies, concurrency: 1, calls: warmUps },
    job: { bodies, concurrency: 1, calls },
    show: (measured) => `${p50(measured).toFixed(2)} ms`,
  });
  return {
    rows: rowsOf(lanes, { what: 'one at a time', of: ({ total }) => total }),
    comparisons: added(lanes, { what: 'p50', of: p50 }),
    derived: {},
    calls: warmUps + callsOf(lanes),
    faults: faultsOf(lanes),
  };
}

async function many(bench: Bench): Promise<Result> {
  const [rounds, forMs, warmMs, concurrency] = bench.quick ? [1, 150, 50, 8] : [5, 5_000, 3_000, 64];
  const lanes = await inBlocks(bench, {
    name: 'whole-64',
    rounds,
    warmUp: { bodies, concurrency, forMs: warmMs },
    job: { bodies, concurrency, forMs },
    show: (measured) => `${perSecond(measured).toFixed(0)}/s`,
  });
  return {
    rows: [
      ...rowsOf(lanes, { what: 'calls a second', unit: '/s', of: (measured) => [perSecond(measured)] }),
      ...rowsOf(lanes, { what: 'each call', of: ({ total }) => total }),
    ],
    comparisons: [
      ...ratios(lanes, { what: 'calls a second', of: perSecond }),
      ...added(lanes, { what: 'p50', of: p50 }),
    ],
    derived: {},
    calls: callsOf(lanes),
    cpu: cpuOf(lanes, ({ calls }) => calls),
    faults: faultsOf(lanes),
  };
}

const included =
  'In it: token check, row committed before the queue, queue, claim, the backend’s call, the row settled before the ' +
  'last byte. Not in it: TLS, a network, a backend that thinks.';

export const wholeOne: Scenario = {
  name: 'whole-1',
  about: `Answers in one piece, one call at a time over a kept connection, the endpoints in turn call by call. ${included}`,
  baselines: true,
  run: one,
};

export const wholeMany: Scenario = {
  name: 'whole-64',
  about:
    'Answers in one piece, 64 connections with one call each under way, five seconds for each endpoint in each of ' +
    `five rounds. Client, backend and all processes share the machine’s cores. ${included}`,
  baselines: true,
  run: many,
};
