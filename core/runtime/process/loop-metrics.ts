import { Counter, type Registry } from 'prom-client';
import type { Bus } from '../bus.ts';

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
