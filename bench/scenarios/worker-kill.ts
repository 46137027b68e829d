import { randomUUID } from 'node:crypto';
import { pause } from '../../core/runtime/clock.ts';
import { scripted } from '../backend/script.ts';
import { summary } from '../report/stats.ts';
import { startBenchWorker, type BenchWorker } from '../product/worker.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const transports = ['redis', 'sse'] as const;
type Transport = (typeof transports)[number];

/** Each trial: a call runs at the only worker, another one comes, the first is killed. The other one stays. */
async function trials(bench: Bench, transport: Transport): Promise<number[]> {
  const { backend, system, client, product, quick, progress, killed } = bench;
  const poolName = `kill-${transport}`;
  const start = (n: number): Promise<BenchWorker> =>
    startBenchWorker(system, {
      names: [`${poolName}-${String(n)}`],
      poolName,
      backendUrl: backend.url,
      transport,
    });
  const count = quick ? 1 : 20;
  const times: number[] = [];
  let worker = await start(0);
  try {
    for (let n = 1; n <= count; n++) {
      const id = randomUUID();
      const call = client.stream(product, scripted({ id, tokens: 0, holds: true }, { model: poolName }));
      await Promise.race([backend.whenTold('reached', id), call.ended]);
      const next = await start(n);
      const killedAtMs = worker.kill();
      killed(1);
      const dead = worker;
      worker = next;
      await backend.whenTold('closed', id); // the killed one's
      const again = await Promise.race([backend.whenTold('reached', id), call.ended]);
      call.close();
      await dead.stop();
      await backend.whenTold('closed', id);
      if (typeof again === 'number') times.push(again - killedAtMs);
      progress(
        `worker-kill, ${transport}, ${String(n)} of ${String(count)}: ${times.at(-1)?.toFixed(0) ?? ''} ms`,
      );
    }
  } finally {
    await worker.stop();
  }
  return times;
}

/** The scheduler judges nobody for ten seconds after it has connected. */
const BRAKE_MS = 12_000;

async function run(bench: Bench): Promise<Result> {
  if (!bench.quick) await pause(BRAKE_MS);
  const rows: Result['rows'] = [];
  for (const transport of bench.quick ? transports.slice(0, 1) : transports)
    rows.push({ what: `a worker over ${transport}`, summary: summary([await trials(bench, transport)]) });
  return { rows, derived: {}, calls: 0 };
}

export const workerKill: Scenario = {
  name: 'worker-kill',
  about:
    'SIGKILL of the worker that runs a call of which nothing was shown: from the signal to the backend getting the call ' +
    'from another worker of the pool, by one monotonic clock, 20 trials for each transport, the scheduler up for longer than the ten seconds in which it judges nobody. Every death that the ' +
    'scheduler sees in the whole run besides these is counted as a false one. No baseline does this.',
  run,
};
