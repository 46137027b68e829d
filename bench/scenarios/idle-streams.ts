import { McpctlError } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import { nowMs } from '../report/clock.ts';
import { memoryOf, pidBelow } from '../report/process.ts';
import { startRawWorkers } from '../product/raw-workers.ts';
import { median, summary } from '../report/stats.ts';
import { usageBelow } from '../report/usage.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const SAMPLES = 10;

async function run(bench: Bench): Promise<Result> {
  const { system, quick } = bench;
  const [count, settleMs] = quick ? [20, 50] : [1_000, 30_000];
  const pid = pidBelow(system.pid, 'edge');
  if (pid === undefined) throw new McpctlError('setup_failed', 'This scenario needs /proc.');
  const settled = async (): Promise<number[]> => {
    await pause(settleMs);
    const samples: number[] = [];
    for (let n = 0; n < SAMPLES; n++) {
      samples.push(memoryOf(pid).rssMb);
      await pause(settleMs / SAMPLES);
    }
    return samples;
  };
  const before = await settled();
  const from = nowMs();
  const workers = await startRawWorkers(system, count);
  try {
    await workers.untilServing(from, 60_000);
    bench.progress(
      `idle-streams: ${String(count)} are there after ${((nowMs() - from) / 1_000).toFixed(1)} s`,
    );
    const cpu = usageBelow(system.pid);
    const cpuFrom = nowMs();
    const after = await settled();
    const seconds = (nowMs() - cpuFrom) / 1_000;
    const used = usageBelow(system.pid);
    const share = (name: string) => ({
      value: ((used[name]?.cpuMs ?? 0) - (cpu[name]?.cpuMs ?? 0)) / seconds / 10,
      unit: '% of a core',
    });
    const rows: Result['rows'] = [
      { what: 'the edge without them', summary: summary([before]), unit: 'MB' },
      { what: `with ${String(count)}`, summary: summary([after]), unit: 'MB' },
    ];
    const perWorker = { value: ((median(after) - median(before)) * 1_024) / count, unit: 'kB' };
    return { rows, derived: { perWorker, edge: share('edge'), redis: share('redis') }, calls: 0 };
  } finally {
    await workers.stop();
  }
}

export const idleStreams: Scenario = {
  name: 'idle-streams',
  about:
    'The resident memory of one edge before and while 1,000 idle sse workers hold their control streams, each with ' +
    'one llm, in pools of ten; half a minute after the last one came. The CPU is that of keeping them: announcements, ' +
    'pings, heartbeats. Not in it: TLS.',
  run,
};
