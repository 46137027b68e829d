import { submitOf, submitsTo } from '../product/api.ts';
import { scripted } from '../backend/script.ts';
import { nowMs } from '../report/clock.ts';
import { untilSettled } from '../product/rows.ts';
import { summary } from '../report/stats.ts';
import { startBenchWorker } from '../product/worker.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const WITHIN_MS = 300_000;
const LLM = 'async';

async function run(bench: Bench): Promise<Result> {
  const { backend, system, load, quick } = bench;
  const [rounds, calls, concurrency] = quick ? [1, 10, 2] : [5, 2_000, 16];
  const submitted: number[][] = [];
  const each: number[][] = [];
  const drained: number[][] = [];
  const why: string[] = [];
  let lost = 0;
  const offer = { names: [LLM], backendUrl: backend.url, transport: 'redis' } as const;
  const worker = await startBenchWorker(system, offer);
  try {
    for (let round = 1; round <= rounds; round++) {
      const gate = `${LLM}-${String(round)}`;
      const bodies = [submitOf(LLM, scripted({ gate }, { stream: false, model: LLM }))];
      const [measured] = await load.run({ targets: [submitsTo(system)], bodies, concurrency, calls });
      if (!measured) continue;
      lost += measured.lost;
      why.push(...measured.why);
      submitted.push([measured.total.length / measured.seconds]);
      each.push(measured.total);
      const from = nowMs();
      backend.open(gate);
      const seconds = ((await untilSettled(system, { llms: [LLM], withinMs: WITHIN_MS })) - from) / 1_000;
      drained.push([measured.total.length / seconds]);
      bench.progress(
        `async, round ${String(round)} of ${String(rounds)}: ${submitted.at(-1)?.[0]?.toFixed(0) ?? ''}/s in, ` +
          `${drained.at(-1)?.[0]?.toFixed(0) ?? ''}/s out`,
      );
    }
  } finally {
    await worker.stop();
  }
  return {
    rows: [
      { what: 'submits a second', unit: '/s', summary: summary(submitted) },
      { what: 'each submit', summary: summary(each) },
      { what: 'drained and settled a second', unit: '/s', summary: summary(drained) },
    ],
    derived: {},
    calls: rounds * calls,
    ...(lost > 0 ? { faults: { mcpctl: { lost, why: why.slice(0, 5) } } } : {}),
  };
}

export const asyncTasks: Scenario = {
  name: 'async',
  about:
    'Tasks submitted over 16 connections while the backend holds all it has (64 slots), each answered 202 once its row ' +
    'is committed and enqueued; then the backend answers at once, and the time until the last row is settled. The ' +
    'CPU per call is of both together. No baseline does this. Not in it: TLS, a network.',
  run,
};
