import { collectDefaultMetrics, Gauge, Registry, Counter } from 'prom-client';
import { ownCommit } from '../files/own-package.ts';
import type { Bus } from '../bus.ts';

/** For who loads this late: of the package itself, imported late, a bundle has the default alone. */
export { Gauge };

/**
 * What every process exports: which build runs, and Node's own figures (memory, event loop, garbage collection).
 * @param commit '' = what is checked out.
 * @param ofNode without them a test can have many in one process.
 */
export function processMetrics({
  version,
  commit,
  ofNode = true,
}: {
  version: string;
  commit: string;
  ofNode?: boolean;
}): Registry {
  const registry = new Registry();
  if (ofNode) collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'mcpctl_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['version', 'commit', 'node'],
    registers: [registry],
  }).set({ version, commit: commit === '' ? ownCommit() : commit, node: process.version }, 1);
  return registry;
}

/** What the loops over items of this process did not do, as `mcpctl_scheduler_items_total` tells of the scheduler's duties. */
export function countLoops(registry: Registry, bus: Bus): void {
  const items = new Counter({
    name: 'mcpctl_loop_items_total',
    help: 'Items that a loop of this process left, that failed in it, or that it ended.',
    labelNames: ['loop', 'outcome'],
    registers: [registry],
  });
  bus.on('loop.left', ({ loop, ...counts }) => {
    for (const [outcome, count] of Object.entries(counts)) if (count > 0) items.inc({ loop, outcome }, count);
  });
}
