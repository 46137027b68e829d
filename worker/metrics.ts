import { Counter, Histogram } from 'prom-client';
import type { Bus } from '../core/runtime/bus.ts';
import type { Clock } from '../core/runtime/clock.ts';
import { ownPackage } from '../core/runtime/files/own-package.ts';
import { countLoops, processMetrics } from '../core/runtime/process/process-metrics.ts';
import { tellApart } from '../core/runtime/told-apart.ts';

const seconds = [0.02, 0.08, 0.32, 1.28, 5.12, 20.48, 81.92, 327.68, 1310.72];
/** A hosted worker may serve a thousand. */
const MOST_LLMS = 100;
const IDLE_MS = 24 * 3_600_000;

/** What this worker does, by the events of its bus: one step when a claim ends. */
export function workerMetrics({
  commit,
  bus,
  clock,
}: {
  commit: string;
  bus: Bus;
  clock: Clock;
}): () => Promise<{ type: string; text: string }> {
  const registry = processMetrics({ version: ownPackage().version, commit });
  countLoops(registry, bus);
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: string[]) =>
    new Counter({ name: `mcpctl_worker_${name}_total`, help, labelNames, registers });
  const took = new Histogram({
    name: 'mcpctl_worker_claim_duration_seconds',
    help: 'From taking a task to letting go of it.',
    labelNames: ['llm'],
    buckets: seconds,
    registers,
  });
  const claims = counter('claims', 'Tasks that this worker took and let go of.', ['llm', 'outcome']);
  const events = counter('events', 'Events of streamed answers.', ['llm']);
  const rests = counter('rests', 'How often a backend failed, and its llm took nothing for a while.', [
    'llm',
  ]);
  const wakes = counter('wakes', 'Recipes that were run for a sleeping backend.', ['llm', 'outcome']);
  const llms = tellApart({ most: MOST_LLMS, idleMs: IDLE_MS, clock, forget: () => undefined });
  bus.on('claim.finished', ({ llm: name, outcome, events: count, ms }) => {
    const llm = llms.label(name);
    claims.inc({ llm, outcome });
    events.inc({ llm }, count);
    took.observe({ llm }, ms / 1_000);
  });
  bus.on('member.rests', ({ llm }) => rests.inc({ llm: llms.label(llm) }));
  bus.on('wake.finished', ({ llm, ok }) =>
    wakes.inc({ llm: llms.label(llm), outcome: ok ? 'ok' : 'failed' }),
  );
  return async () => ({ type: registry.contentType, text: await registry.metrics() });
}
