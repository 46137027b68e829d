import { pause } from '../../core/runtime/clock.ts';
import { memoryOf } from '../report/process.ts';
import { summary } from '../report/stats.ts';
import { startBenchWorker } from '../product/worker.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const transports = ['redis', 'sse'] as const;

/** Each worker alone, one after the other, the transports in turn. */
async function run(bench: Bench): Promise<Result> {
  const { backend, system, quick } = bench;
  const [each, idleMs] = quick ? [1, 50] : [3, 15_000];
  const chosen = quick ? transports.slice(0, 1) : transports;
  const memory = {
    redis: { rss: [] as number[], own: [] as number[] },
    sse: { rss: [] as number[], own: [] as number[] },
  };
  for (let n = 0; n < each; n++) {
    for (const transport of chosen) {
      const names = [`idle-${transport}-${String(n)}`];
      const worker = await startBenchWorker(system, { names, backendUrl: backend.url, transport });
      try {
        await pause(idleMs);
        const { rssMb, privateMb } = memoryOf(worker.pid);
        memory[transport].rss.push(rssMb);
        memory[transport].own.push(privateMb);
        bench.progress(`idle-worker, ${transport}: ${rssMb.toFixed(1)} MB`);
      } finally {
        await worker.stop();
      }
    }
  }
  const rows = chosen.flatMap((transport): Result['rows'] => [
    { what: `${transport}, resident`, summary: summary([memory[transport].rss]), unit: 'MB' },
    { what: `${transport}, of which its own`, summary: summary([memory[transport].own]), unit: 'MB' },
  ]);
  return { rows, derived: {}, calls: 0 };
}

export const idleWorker: Scenario = {
  name: 'idle-worker',
  about:
    'The memory of a worker with one provider, fifteen seconds after it serves, nobody calling. In it: Node itself. ' +
    'Its own: what it shares with no other process; the rest is Node’s code, shared by all workers of a machine.',
  run,
};
