import { McpctlError } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import { nowMs } from '../report/clock.ts';
import { loopDelayMs } from '../product/edge-probe.ts';
import { pidBelow } from '../report/process.ts';
import { startRawWorkers, type RawWorkers } from '../product/raw-workers.ts';
import { summary } from '../report/stats.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const SERVING_MS = 90_000;

/** How long after `from` each of them was back. */
async function back(workers: RawWorkers, from: number): Promise<number[]> {
  await workers.untilServing(from, SERVING_MS);
  return workers.all.map(({ helloAtMs }) => (helloAtMs ?? Number.NaN) - from);
}

const hows = ['reset', 'killed'] as const;
const words = {
  reset: 'all streams reset, the edge lives',
  killed: 'the edge killed, its supervisor starts it again',
};

async function run(bench: Bench): Promise<Result> {
  const { system, quick } = bench;
  const [count, rounds] = quick ? [10, 1] : [300, 3];
  const chosen = quick ? hows.slice(0, 1) : hows;
  const times = { reset: [] as number[][], killed: [] as number[][] };
  const delays = { reset: [] as number[], killed: [] as number[] };
  const failures = { reset: 0, killed: 0 };
  const workers = await startRawWorkers(system, count);
  try {
    await workers.untilServing(0, SERVING_MS);
    for (let round = 0; round < rounds; round++) {
      for (const how of chosen) {
        await pause(quick ? 500 : 5_000);
        await loopDelayMs(system); // from here on it counts anew
        const failed = (): number => workers.all.reduce((sum, worker) => sum + worker.failed, 0);
        const before = failed();
        const from = nowMs();
        if (how === 'reset') for (const worker of workers.all) worker.reset();
        else process.kill(edgePid(system.pid), 'SIGKILL');
        times[how].push(await back(workers, from));
        failures[how] += failed() - before;
        delays[how].push(await loopDelayMs(system));
        bench.progress(
          `reconnect-storm, ${how}: ${String(Math.max(...(times[how].at(-1) ?? [])).toFixed(0))} ms`,
        );
      }
    }
  } finally {
    await workers.stop();
  }
  const rows = chosen.flatMap((how): Result['rows'] => [
    { what: words[how], summary: summary(times[how]) },
    { what: `longest wait of the edge’s event loop, ${how}`, summary: summary([delays[how]]) },
  ]);
  const tries = (how: keyof typeof failures) => ({ value: failures[how] / rounds, unit: 'a round' });
  return { rows, derived: { failedReset: tries('reset'), failedKilled: tries('killed') }, calls: 0 };
}

function edgePid(supervisor: number): number {
  const pid = pidBelow(supervisor, 'edge');
  if (pid === undefined) throw new McpctlError('setup_failed', 'This scenario needs /proc, and an edge.');
  return pid;
}

export const reconnectStorm: Scenario = {
  name: 'reconnect-storm',
  about:
    '300 sse workers lose their control streams at one moment and come back by the rules of the worker (at once, ' +
    'within 250 ms; then from 2.5 to 5 s): from the loss to the hello of each. In it, for the killed edge: the ' +
    'supervisor’s wait and the edge’s start. Failed tries are connections refused while there is no edge.',
  run,
};
