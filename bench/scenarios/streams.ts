import { scripted } from '../backend/script.ts';
import type { Measured } from '../load/job.ts';
import { callsOf, cpuOf, faultsOf, inBlocks, ratios, rowsOf } from '../report/rounds.ts';
import { quantile } from '../report/stats.ts';
import type { Bench, Comparison, Result, Scenario } from './scenario.ts';

const TOKENS = 64;
const EVERY_MS = 20;
/** A stream that brings nothing for so long, once it has begun, has stalled. */
const STALLED_MS = 2_000;

const p99 = ({ lag }: Measured): number => quantile(lag, 0.99);
const stalled = ({ gap }: Measured): number => gap.filter((ms) => ms > STALLED_MS).length;

async function run(bench: Bench, streams: number): Promise<Result> {
  const [rounds, each, concurrency] = bench.quick ? [1, 1, 8] : [5, 3, streams];
  const tokens = bench.quick ? 8 : TOKENS;
  const bodies = [scripted({ tokens, everyMs: EVERY_MS, stamped: true })];
  const job = { bodies, concurrency, tokens, calls: concurrency * each };
  const lanes = await inBlocks(bench, {
    name: `streams-${String(streams)}`,
    rounds,
    warmUp: { ...job, calls: concurrency },
    job,
    show: (measured) =>
      `lag p99 ${p99(measured).toFixed(1)} ms, ${String(measured.lost)} lost, ${String(stalled(measured))} stalled`,
  });
  const count = (of: (measured: Measured) => number) => lanes.map((lane) => lane.rounds.map(of));
  const stalls = count(stalled);
  const losses = count(({ lost }) => lost);
  const sums = lanes.flatMap(({ endpoint }, n) => [
    [`lost, ${endpoint.what}`, { value: sum(losses[n]), unit: `of ${String(rounds * job.calls)}` }] as const,
    [
      `stalled, ${endpoint.what}`,
      { value: sum(stalls[n]), unit: `of ${String(rounds * job.calls)}` },
    ] as const,
  ]);
  const comparisons: Comparison[] = [
    ...ratios(lanes, { what: 'lag p50', of: ({ lag }) => quantile(lag, 0.5) }),
    ...ratios(lanes, { what: 'lag p99', of: p99 }),
  ];
  return {
    rows: [
      ...rowsOf(lanes, { what: 'lag of a token', of: ({ lag }) => lag }),
      ...rowsOf(lanes, { what: 'longest gap of a stream', of: ({ gap }) => gap }),
      ...rowsOf(lanes, { what: 'whole stream', of: ({ total }) => total }),
    ],
    comparisons,
    derived: Object.fromEntries(sums),
    calls: callsOf(lanes),
    cpu: cpuOf(lanes, ({ calls }) => calls),
    faults: faultsOf(lanes),
  };
}

const sum = (values: readonly number[] = []): number => values.reduce((all, one) => all + one, 0);

const about = (streams: number): string =>
  `${String(streams)} streams at once of 64 tokens, one each 20 ms (1.28 s if nothing is late), three after the other ` +
  'on each connection, all begun at one moment. The lag is from the backend’s write of a token to its frame at the ' +
  'caller, by the one monotonic clock of the machine. Lost: any token missing, out of order, or no end. Stalled: more ' +
  'than 2 s without a token. The backend itself is late where the machine is full: its ticks then come later. Not in ' +
  'it: TLS, a network.';

const streamsOf = (streams: number): Scenario => ({
  name: `streams-${String(streams)}`,
  about: about(streams),
  baselines: true,
  run: (bench) => run(bench, streams),
});

export const streams128 = streamsOf(128);
export const streams512 = streamsOf(512);
