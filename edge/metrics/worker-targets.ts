import { Gauge, Registry } from 'prom-client';
import type { WorkerSeen } from './workers.ts';

/** One entry of what Prometheus's `http_sd_configs` reads. */
interface Target {
  targets: [string];
  labels: Record<string, string>;
}

/**
 * The workers as targets of a scraper. A worker takes no calls, whatever network it is in: each is scraped through the
 * edge that was asked, at a path of its own, so that `up` says of each whether it is there.
 * @param at the edge, as its scraper reached it.
 */
export function targetsOf(workers: readonly WorkerSeen[], at: { host: string; scheme: string }): Target[] {
  return workers.map(({ id, version, transport, llms }) => ({
    targets: [at.host],
    labels: {
      __scheme__: at.scheme,
      __metrics_path__: `/metrics/workers/${id}`,
      instance: id,
      __meta_mcpctl_version: version,
      __meta_mcpctl_transport: transport,
      __meta_mcpctl_llms: listed(llms.map(({ name }) => name)),
      __meta_mcpctl_pools: listed(llms.map(({ pool }) => pool)),
    },
  }));
}

/** With the separator at both ends too, as other lists of Prometheus: `.*,name,.*` finds a whole name. */
function listed(names: readonly string[]): string {
  return names.length === 0 ? '' : `,${[...new Set(names)].sort().join(',')},`;
}

/** What there is to scrape of one worker. */
export async function pageOf(worker: WorkerSeen): Promise<{ type: string; text: string }> {
  const registry = new Registry();
  const gauge = (name: string, help: string, labelNames: string[]) =>
    new Gauge({ name: `mcpctl_worker_${name}`, help, labelNames, registers: [registry] });
  const { id, version, transport, lastSeenMs, slots, busy, llms } = worker;
  const info = ['worker', 'version', 'transport'];
  gauge('info', 'Always 1; the labels say what runs.', info).set({ worker: id, version, transport }, 1);
  gauge('last_seen_timestamp_seconds', 'When it was last heard from.', ['worker']).set(
    { worker: id },
    lastSeenMs / 1_000,
  );
  gauge('slots', 'Tasks that it takes at once.', ['worker']).set({ worker: id }, slots);
  gauge('slots_busy', 'Tasks that it runs now.', ['worker']).set({ worker: id }, busy);
  const of = ['worker', 'llm', 'pool'];
  const states = gauge('llm_state', '1 for the state that an llm is in.', [...of, 'state']);
  const running = gauge('llm_busy', 'Tasks that an llm runs now.', of);
  for (const { name: llm, pool, state, running: count } of llms) {
    states.set({ worker: id, llm, pool, state }, 1);
    running.set({ worker: id, llm, pool }, count);
  }
  return { type: registry.contentType, text: await registry.metrics() };
}
