import { scripted } from '../backend/script.ts';
import type { Measured } from '../load/job.ts';
import { callsOf, cpuOf, faultsOf, inBlocks, ratios, rowsOf } from '../report/rounds.ts';
import type { Bench, Comparison, Result, Row, Scenario } from './scenario.ts';

const eventsPerSecond = ({ tokens, seconds }: Measured): number => tokens / seconds;

/** How many streams flow at once, of how many events each, and how many of them the backend writes together. */
const shapes = [
  { name: 'one stream', streams: 1, tokens: 40_000, flood: 1 },
  { name: 'one stream, 64 a write', streams: 1, tokens: 40_000, flood: 64 },
  { name: '8 streams', streams: 8, tokens: 10_000, flood: 1 },
];

async function run(bench: Bench): Promise<Result> {
  const [rounds, forMs] = bench.quick ? [1, 1] : [5, 1_500];
  const rows: Row[] = [];
  const comparisons: Comparison[] = [];
  const cpu: Result['cpu'] = {};
  const faults: Result['faults'] = {};
  let calls = 0;
  for (const { name, streams, flood, ...shape } of bench.quick ? shapes.slice(0, 1) : shapes) {
    const tokens = bench.quick ? 500 : shape.tokens;
    const job = { bodies: [scripted({ tokens, flood })], concurrency: streams, tokens, forMs };
    const lanes = await inBlocks(bench, {
      name: `firehose, ${name}`,
      rounds,
      warmUp: { ...job, forMs: 1 },
      job,
      show: (measured) => `${eventsPerSecond(measured).toFixed(0)}/s`,
    });
    const what = `events a second, ${name}`;
    rows.push(...rowsOf(lanes, { what, unit: '/s', of: (measured) => [eventsPerSecond(measured)] }));
    comparisons.push(...ratios(lanes, { what, of: eventsPerSecond }));
    calls += callsOf(lanes);
    for (const [endpoint, used] of Object.entries(cpuOf(lanes, ({ tokens: seen }) => seen / 1_000)))
      cpu[`${endpoint}, ${name}, 1,000 events`] = used;
    for (const [endpoint, fault] of Object.entries(faultsOf(lanes))) faults[`${endpoint}, ${name}`] = fault;
  }
  return { rows, comparisons, derived: {}, calls, cpu, faults };
}

export const firehose: Scenario = {
  name: 'firehose',
  about:
    'A backend that sends its events as fast as they are taken: how many a second arrive at the caller, each in a ' +
    'frame of its own, counted. Streams of 40,000 events (of 10,000 where there are eight), one after the other for ' +
    '1.5 s; each event is a write of the backend, and once 64 of them are. The starts of the calls and the settled ' +
    'rows are in it. Not in it: TLS, a network, a caller that reads slowly.',
  baselines: true,
  run,
};
