import { submitOf, submitsTo, tokenOf } from '../product/api.ts';
import { scripted } from '../backend/script.ts';
import type { Measured } from '../load/job.ts';
import { untilSettled } from '../product/rows.ts';
import { median, spread, summary } from '../report/stats.ts';
import { startBenchWorker, type BenchWorker } from '../product/worker.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const WITHIN_MS = 300_000;
const TOKENS = 5;
const FULL = 'pending-full';
const OTHER = 'pending-other';
const GATE = 'pending';

/** A submit into a pool whose backend holds what it has. */
const submit = (llm: string): string =>
  submitOf(llm, scripted({ gate: GATE }, { stream: false, model: llm }));

/** Of the product's own pool, which nobody fills. */
async function firstTokens({ load, product, quick }: Bench): Promise<number[][]> {
  const [rounds, calls] = quick ? [1, 2] : [3, 150];
  const job = { bodies: [scripted({ tokens: TOKENS })], concurrency: 1, calls, tokens: TOKENS };
  const measured: Measured[] = [];
  for (let round = 0; round < rounds; round++)
    measured.push(...(await load.run({ ...job, targets: [product] })));
  return measured.map(({ first }) => first);
}

async function run(bench: Bench): Promise<Result> {
  const { system, load, backend, quick, progress } = bench;
  const [pending, rounds, calls] = quick ? [20, 1, 3] : [10_000, 5, 100];
  const workers: BenchWorker[] = [];
  const times: { full: number[][]; other: number[][] } = { full: [], other: [] };
  const faults: NonNullable<Result['faults']> = {};
  const note = (name: string, { lost, why }: Measured): void => {
    if (lost > 0) faults[name] = { lost: (faults[name]?.lost ?? 0) + lost, why };
  };
  try {
    for (const names of quick ? [[FULL, OTHER]] : [[FULL], [OTHER]])
      workers.push(await startBenchWorker(system, { names, backendUrl: backend.url, transport: 'redis' }));
    const before = await firstTokens(bench);
    // One user may have 10,000 tasks open: another one fills the pool.
    const filler = submitsTo({ url: system.url, token: await tokenOf(system, 'filler') });
    const fill = { targets: [filler], bodies: [submit(FULL)], concurrency: 16, calls: pending };
    for (const one of await load.run(fill)) note('filling', one);
    progress(`pending: ${String(pending)} tasks wait in the pool`);
    const while_ = await firstTokens(bench);
    const target = submitsTo(system);
    const targets = [FULL, OTHER].map((llm) => ({ ...target, bodies: [submit(llm)] }));
    await load.run({ targets, bodies: [], concurrency: 1, calls: quick ? 1 : 50 });
    for (let round = 1; round <= rounds; round++) {
      const [full, other] = await load.run({ targets, bodies: [], concurrency: 1, calls });
      if (!full || !other) continue;
      note('submits into the full pool', full);
      note('submits into the other pool', other);
      times.full.push(full.total);
      times.other.push(other.total);
      const show = ({ total }: Measured): string => `${median(total).toFixed(2)} ms`;
      progress(`pending, round ${String(round)} of ${String(rounds)}: ${show(full)}, other ${show(other)}`);
    }
    backend.open(GATE);
    await untilSettled(system, { llms: [FULL, OTHER], withinMs: WITHIN_MS });
    const p50s = (of: readonly (readonly number[])[]): number[] => of.map((values) => median(values));
    const quiet = median(p50s(before));
    return {
      rows: [
        { what: `submit into the pool with ${String(pending)} pending`, summary: summary(times.full) },
        { what: 'submit into another pool', summary: summary(times.other) },
        { what: `first token in another pool, before`, summary: summary(before) },
        { what: `first token in another pool, with ${String(pending)} pending`, summary: summary(while_) },
      ],
      comparisons: [
        {
          what: 'p50 of a submit, full to other',
          ...spread(times.full.map((ms, n) => median(ms) / median(times.other[n] ?? []))),
        },
        { what: 'p50 of the first token, to before', ...spread(p50s(while_).map((ms) => ms / quiet)) },
      ],
      derived: {},
      calls: 0,
      faults,
    };
  } finally {
    backend.open(GATE);
    for (const worker of workers) await worker.stop();
  }
}

export const pending: Scenario = {
  name: 'pending',
  about:
    'A pool whose backend holds all it has (64 slots) with 10,000 tasks pending behind it: the latency of a submit into ' +
    'it and, in turn with it, into a pool alike that has a few hundred; and the first token of a call in a third pool, ' +
    'before the 10,000 came and while they wait. One call at a time. Not in it: TLS, a network.',
  run,
};
