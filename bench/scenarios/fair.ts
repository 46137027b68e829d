import { submitsTo, tokenOf } from '../product/api.ts';
import { scripted } from '../backend/script.ts';
import { untilSettled } from '../product/rows.ts';
import { median, spread, summary } from '../report/stats.ts';
import { startBenchWorker } from '../product/worker.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const WITHIN_MS = 300_000;
const LLM = 'fair';
const SLOTS = 4;
/** What each task of the flood takes at least. */
const TASK_MS = 50;

async function run(bench: Bench): Promise<Result> {
  const { system, load, backend, client, product, quick, progress } = bench;
  const [rounds, tasks, calls] = quick ? [1, 20, 2] : [5, 600, 20];
  const times: { alone: number[][]; flooded: number[][] } = { alone: [], flooded: [] };
  const faults: NonNullable<Result['faults']> = {};
  const offer = { names: [LLM], backendUrl: backend.url, transport: 'redis', slots: SLOTS } as const;
  const worker = await startBenchWorker(system, offer);
  const one = async (): Promise<number> => {
    const call = client.stream(product, scripted({ tokens: 5 }, { model: LLM }));
    const ms = await call.firstToken;
    await call.ended;
    return ms;
  };
  const some = async (): Promise<number[]> => {
    const each: number[] = [];
    for (let n = 0; n < calls; n++) each.push(await one());
    return each;
  };
  try {
    const flooder = submitsTo({ url: system.url, token: await tokenOf(system, 'flooder') });
    const request = scripted({ silentMs: TASK_MS }, { stream: false, model: LLM });
    const task = `{"llm":"${LLM}","priority":"interactive","request":${request}}`;
    await some();
    for (let round = 1; round <= rounds; round++) {
      times.alone.push(await some());
      const job = { targets: [flooder], bodies: [task], concurrency: 16, calls: tasks };
      for (const { lost, why } of await load.run(job)) if (lost > 0) faults['flood'] = { lost, why };
      times.flooded.push(await some());
      await untilSettled(system, { llms: [LLM], withinMs: WITHIN_MS });
      const [alone, flooded] = [times.alone.at(-1) ?? [], times.flooded.at(-1) ?? []];
      progress(
        `fair, round ${String(round)} of ${String(rounds)}: ${median(alone).toFixed(2)} ms alone, ` +
          `${median(flooded).toFixed(2)} ms beside a flood`,
      );
    }
  } finally {
    await worker.stop();
  }
  const added = times.flooded.map((ms, n) => median(ms) - median(times.alone[n] ?? []));
  return {
    rows: [
      { what: 'first token, alone', summary: summary(times.alone) },
      {
        what: `first token, ${String(tasks)} interactive tasks of another owner waiting`,
        summary: summary(times.flooded),
      },
    ],
    comparisons: [{ what: 'p50 beside a flood, less alone', unit: 'ms', ...spread(added) }],
    derived: {},
    calls: 0,
    faults,
  };
}

export const fair: Scenario = {
  name: 'fair',
  about:
    'A member with 4 slots, and 600 interactive tasks of 50 ms that one owner submitted: the first token of another ' +
    "owner's calls, one at a time, while they wait, and with none. With turns such a call waits for a slot, not for the " +
    'flood, which takes 7 s. Not in it: TLS, a network.',
  run,
};
