import { scripted } from '../backend/script.ts';
import type { Measured } from '../load/job.ts';
import { callsOf, cpuOf, faultsOf, inBlocks, ratios, rowsOf } from '../rounds.ts';
import type { Bench, Comparison, Result, Row, Scenario } from './scenario.ts';

const eventsPerSecond = ({ tokens, seconds }: Measured): number => tokens / seconds;

async function run(bench: Bench): Promise<Result> {
  const [rounds, tokens, streamCounts] = bench.quick ? [1, 500, [1]] : [5, 40_000, [1, 8]];
  const rows: Row[] = [];
  const comparisons: Comparison[] = [];
  const result: Result = { rows, comparisons, derived: {}, calls: 0, cpu: {}, faults: {} };
  for (const streams of streamCounts) {
    const each = Math.ceil((2 * tokens) / (streams + 1)); // fewer a stream where there are more
    const job = {
      bodies: [scripted({ tokens: each, flood: true })],
      concurrency: streams,
      calls: streams,
      tokens: each,
    };
    const name = streams === 1 ? 'one stream' : `${String(streams)} streams at once`;
    const lanes = await inBlocks(bench, {
      name: `firehose, ${name}`,
      rounds,
      warmUp: job,
      job,
      show: (found) => `${eventsPerSecond(found).toFixed(0)}/s`,
    });
    const what = `events a second, ${name}`;
    rows.push(...rowsOf(lanes, { what, unit: '/s', of: (found) => [eventsPerSecond(found)] }));
    comparisons.push(...ratios(lanes, { what, of: eventsPerSecond }));
    result.calls += callsOf(lanes);
    for (const [endpoint, cpu] of Object.entries(cpuOf(lanes, ({ tokens: seen }) => seen / 1_000)))
      Object.assign((result.cpu ??= {}), { [`${endpoint}, ${name}, per 1,000 events`]: cpu });
    for (const [endpoint, fault] of Object.entries(faultsOf(lanes)))
      Object.assign((result.faults ??= {}), { [`${endpoint}, ${name}`]: fault });
  }
  return result;
}

export const firehose: Scenario = {
  name: 'firehose',
  about:
    'A backend that sends its events as fast as they are taken, 64 in one write: how many a second arrive at the ' +
    'caller, each in a frame of its own, counted. From the call to the last frame, so the start of the call and the ' +
    'settled row are in it. Not in it: TLS, a network, a caller that reads slowly.',
  baselines: true,
  run,
};
