import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { ownCommit } from '../files/own-commit.ts';

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
