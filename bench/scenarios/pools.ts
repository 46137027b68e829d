import { scripted } from '../backend/script.ts';
import type { Job, Measured, Target } from '../load/job.ts';
import { p50, perSecond } from '../report/rounds.ts';
import { spread, summary } from '../report/stats.ts';
import { startBenchWorker, type BenchWorker } from '../product/worker.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const ONE = 'pools-one';

async function run(bench: Bench): Promise<Result> {
  const { system, backend, load, quick, product, progress } = bench;
  const [pools, rounds, calls] = quick ? [5, 1, 5] : [100, 5, 200];
  const [forMs, concurrency] = quick ? [150, 2] : [4_000, 32];
  const many = Array.from({ length: pools }, (_, n) => `pools-${String(n + 1)}`);
  const bodies = (names: readonly string[]): string[] =>
    names.map((model) => scripted({}, { model, stream: false }));
  const targets: [Target, Target] = [
    { ...product, bodies: bodies([ONE]) },
    { ...product, bodies: bodies(many) },
  ];
  const faults: NonNullable<Result['faults']> = {};
  const note = (measured: readonly Measured[]): void => {
    measured.forEach(({ lost, why }, n) => {
      const name = n === 0 ? 'one pool' : 'many pools';
      if (lost > 0) faults[name] = { lost: (faults[name]?.lost ?? 0) + lost, why };
    });
  };
  const turns: Measured[][] = [];
  const blocks: Measured[][] = [];
  const workers: BenchWorker[] = [];
  try {
    for (const names of quick ? [[ONE, ...many]] : [[ONE], many])
      workers.push(await startBenchWorker(system, { names, backendUrl: backend.url, transport: 'redis' }));
    const turn: Job = { targets, bodies: [], concurrency: 1, calls };
    note(await load.run({ ...turn, calls: quick ? 1 : pools }));
    for (let round = 1; round <= rounds; round++) {
      turns.push(await load.run(turn));
      const block: Job = { targets: [], bodies: [], concurrency, forMs };
      const measured: Measured[] = [];
      for (const target of targets) measured.push(...(await load.run({ ...block, targets: [target] })));
      blocks.push(measured);
      for (const all of [turns.at(-1), measured]) note(all ?? []);
      const each = measured.map((one) => `${perSecond(one).toFixed(0)}/s`).join(' · ');
      progress(
        `pools, round ${String(round)} of ${String(rounds)}: one pool, then ${String(pools)}: ${each}`,
      );
    }
  } finally {
    for (const worker of workers) await worker.stop();
  }
  const at = (rounds_: readonly Measured[][], n: number): Measured[] =>
    rounds_.flatMap((all) => all.slice(n, n + 1));
  const names = ['one pool', `${String(pools)} pools`];
  const ratio = (rounds_: readonly Measured[][], of: (measured: Measured) => number): number[] =>
    rounds_.flatMap(([one, all]) => (one && all ? [of(all) / of(one)] : []));
  return {
    rows: [
      ...names.map((name, n) => ({
        what: `one call at a time, ${name}`,
        summary: summary(at(turns, n).map(({ total }) => total)),
      })),
      ...names.map((name, n) => ({
        what: `calls a second, ${name}`,
        unit: '/s',
        summary: summary(at(blocks, n).map((measured) => [perSecond(measured)])),
      })),
    ],
    comparisons: [
      { what: 'p50 of a call, many pools to one', ...spread(ratio(turns, p50)) },
      { what: 'calls a second, many pools to one', ...spread(ratio(blocks, perSecond)) },
    ],
    derived: {},
    calls: [...turns, ...blocks].flat().reduce((sum, measured) => sum + measured.calls, 0),
    faults,
  };
}

export const pools: Scenario = {
  name: 'pools-100',
  about:
    'Answers in one piece, spread over 100 pools of one member each or all into one pool; one call at a time in turn, ' +
    'and 32 at once for four seconds each. Two workers with 64 slots each, one with one llm, one with 100, the same ' +
    'backend. In it: what whole-1 has. Not in it: TLS, a network.',
  run,
};
