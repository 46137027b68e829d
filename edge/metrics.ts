import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ErrorCode } from '../core/errors.ts';
import type { EventMap } from '../core/events.ts';
import type { Bus } from '../core/runtime/bus.ts';
import { fleetGauges, type FleetDeps } from './fleet.ts';

export interface Metrics {
  request(done: { route: string; method: string; code: string; seconds: number }): void;
  /** A call was refused by this cap (caps.ts). */
  refused(cap: string): void;
  /** In Prometheus's text format, with the content type to send it as. */
  render(): Promise<{ type: string; text: string }>;
}

/** OpenTelemetry's durations, on to what queues and desk GPUs take. */
const seconds = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 655.36,
];

type Outcome = 'ok' | 'cancelled' | 'rejected' | 'timeout' | 'upstream_error' | 'worker_lost' | 'failed';

function outcomeOf(code: ErrorCode | null, status: number): Outcome {
  if (code === null && status < 400) return 'ok';
  if (code === 'task_cancelled') return 'cancelled';
  if (code === 'queue_timeout' || code === 'run_timeout' || code === 'backend_timeout') return 'timeout';
  if (code === 'worker_lost' || code === 'poison_task') return 'worker_lost';
  if (code?.startsWith('backend_')) return 'upstream_error';
  return status >= 500 && code !== 'no_active_llm' ? 'failed' : 'rejected';
}

function inferenceMetrics(registers: [Registry]) {
  const labelNames = ['llm'] as const;
  const histogram = (name: string, help: string) =>
    new Histogram({ name: `mcpctl_inference_${name}`, help, labelNames, buckets: seconds, registers });
  const requests = new Counter({
    name: 'mcpctl_inference_requests_total',
    help: 'Inference calls that ended, also those that made no task.',
    labelNames: ['llm', 'outcome'],
    registers,
  });
  const tokens = new Counter({
    name: 'mcpctl_inference_tokens_total',
    help: 'Tokens as the backends counted them.',
    labelNames: ['llm', 'type'],
    registers,
  });
  const retries = new Counter({
    name: 'mcpctl_inference_client_retries_total',
    help: 'Inference calls that an SDK made again, as it says.',
    labelNames: ['llm'],
    registers,
  });
  const queue = histogram('queue_wait_seconds', 'From acceptance to the claim by a member.');
  const first = histogram('time_to_first_token_seconds', 'From the call to its first event.');
  const total = histogram('duration_seconds', 'From the call to its end.');
  return (event: EventMap['inference.finished']): void => {
    // A name that no pool knows came from a caller, and callers may make up any number of them.
    const llm = event.pool === null ? 'unknown' : event.llm;
    requests.inc({ llm, outcome: outcomeOf(event.code, event.status) });
    if (event.clientRetry > 0) retries.inc({ llm });
    total.observe({ llm }, event.totalMs / 1000);
    if (event.queueMs !== null) queue.observe({ llm }, event.queueMs / 1000);
    if (event.firstTokenMs !== null) first.observe({ llm }, event.firstTokenMs / 1000);
    if (event.usage) {
      tokens.inc({ llm, type: 'input' }, event.usage.promptTokens);
      tokens.inc({ llm, type: 'output' }, event.usage.completionTokens);
    }
  };
}

/**
 * One set per process. `ofProcess` adds Node's own (memory, event loop), `fleet` what the stores know of the whole
 * installation.
 */
export function createMetrics(deps: {
  bus: Bus;
  version: string;
  ofProcess: boolean;
  fleet: FleetDeps;
}): Metrics {
  const registry = new Registry();
  const askStores = fleetGauges(registry, deps.fleet);
  const registers: [Registry] = [registry];
  if (deps.ofProcess) collectDefaultMetrics({ register: registry });
  const labelNames = ['route', 'method', 'code'] as const;
  const requests = new Counter({
    name: 'mcpctl_http_requests_total',
    help: 'Requests that ended.',
    labelNames,
    registers,
  });
  const durations = new Histogram({
    name: 'mcpctl_http_request_duration_seconds',
    help: 'From the request to the end of its answer; streams included.',
    labelNames,
    buckets: seconds,
    registers,
  });
  const refused = new Counter({
    name: 'mcpctl_refused_total',
    help: 'Calls that a cap refused with 429.',
    labelNames: ['cap'],
    registers,
  });
  new Gauge({
    name: 'mcpctl_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['version', 'node'],
    registers,
  }).set({ version: deps.version, node: process.version }, 1);
  deps.bus.on('inference.finished', inferenceMetrics(registers));
  return {
    request({ seconds: took, ...labels }) {
      requests.inc(labels);
      durations.observe(labels, took);
    },
    refused: (cap) => refused.inc({ cap }),
    async render() {
      await askStores();
      return { type: registry.contentType, text: await registry.metrics() };
    },
  };
}
