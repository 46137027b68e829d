import { readFileSync } from 'node:fs';
import { pause } from '../../../core/runtime/clock.ts';
import type { WorkerPart, World } from '../world.ts';
import { exists } from '../processes.ts';

/** Waits until `ask` says so, at most so long. @returns whether it did. */
export async function until(ask: () => boolean | Promise<boolean>, withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    if (await ask()) return true;
    if (performance.now() > deadline) return false;
    await pause(10);
  }
}

/** SIGKILLs a worker. @returns when, and the proof. */
export async function killWorker(
  worker: WorkerPart,
): Promise<{ at: number; happened: boolean; proof: string }> {
  const { pid } = worker.process;
  const running = worker.backend.open();
  const at = performance.now();
  await worker.process.end('SIGKILL');
  const happened = !exists(pid) && running > 0;
  return {
    at,
    happened,
    proof: `${worker.name} (pid ${String(pid)}) is gone, with ${String(running)} requests at its backend`,
  };
}

/** A name for each process of Redis: another one after a restart. */
export async function redisRunId(world: World): Promise<string> {
  return /^run_id:(\w+)/m.exec(await world.redis.info('server'))?.[1] ?? '';
}

/** What Linux says a process does: `T` is stopped. Elsewhere it is taken for stopped. */
export function stateOf(pid: number): string {
  try {
    return /\) (\w)/.exec(readFileSync(`/proc/${String(pid)}/stat`, 'utf8'))?.[1] ?? '';
  } catch {
    return process.platform === 'linux' ? '' : 'T';
  }
}

/** The most memory a process has held, in megabytes; 0 where the system does not say. */
export function memoryOf(pid: number): number {
  try {
    return (
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1] ?? 0) / 1_024
    );
  } catch {
    return 0;
  }
}

export const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)}s`;
