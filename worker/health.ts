import { McpctlError } from '../core/errors.ts';
import type { Bus } from '../core/runtime/bus.ts';
import type { Clock } from '../core/runtime/clock.ts';
import { createHealthPort, type HealthPort } from '../core/runtime/process/health-port.ts';
import type { Settings } from '../core/runtime/settings/settings.ts';

/** The worker's own port for probes and scrapers; null where none was asked for. */
export async function openHealth(
  config: Settings<'healthPort' | 'healthHost' | 'commit'>,
  { bus, clock }: { bus: Bus; clock: Clock },
): Promise<HealthPort | null> {
  const { healthPort: port, healthHost: host } = config;
  if (port === undefined) return null;
  const { workerMetrics } = await import('./metrics.ts');
  let serves = false;
  bus.on('service.ready', () => (serves = true));
  bus.on('service.stopping', () => (serves = false));
  const ready = (): Promise<void> =>
    serves
      ? Promise.resolve()
      : Promise.reject(new McpctlError('unavailable', 'This worker serves nothing.'));
  return createHealthPort({ port, host, ready, metrics: workerMetrics({ ...config, bus, clock }) });
}
