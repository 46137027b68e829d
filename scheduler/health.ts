import type { Bus } from '../core/runtime/bus.ts';
import { createHealthPort, type HealthPort } from '../core/runtime/process/health-port.ts';
import { ownPackage } from '../core/runtime/files/own-package.ts';
import type { Settings } from '../core/runtime/settings/settings.ts';

/** The scheduler's own port for probes and scrapers; null where none was asked for. */
export async function openHealth(
  config: Settings<'healthPort' | 'healthHost' | 'commit'>,
  { bus, ready }: { bus: Bus; ready: () => Promise<unknown> },
): Promise<HealthPort | null> {
  if (config.healthPort === undefined) return null;
  const { processMetrics, Gauge } = await import('../core/runtime/process/process-metrics.ts');
  const registry = processMetrics({ ...config, version: ownPackage().version });
  const leads = new Gauge({
    name: 'mcpctl_scheduler_leading',
    help: '1 while this scheduler leads; the others stand by.',
    registers: [registry],
  });
  bus.on('leader.changed', ({ leading }) => leads.set(leading ? 1 : 0));
  const metrics = async () => ({ type: registry.contentType, text: await registry.metrics() });
  return createHealthPort({ port: config.healthPort, host: config.healthHost, ready, metrics });
}
