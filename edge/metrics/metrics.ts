import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Bus } from '../../core/runtime/bus.ts';
import { countLoops, processMetrics } from '../../core/runtime/process/process-metrics.ts';
import { openFleet, type Fleet, type FleetDeps } from './fleet.ts';
import { durations, inferenceMetrics } from './inference.ts';

export interface Metrics extends Pick<Fleet, 'workers'> {
  request(done: { route: string; method: string; code: string; seconds: number }): void;
  /** An inference call has begun; call what is returned when it has ended, however it did. */
  began(): () => void;
  /** A call was refused by this cap (caps.ts). */
  refused(cap: string): void;
  /** A request came earlier than this cap lets it (rates.ts), and waited. */
  slowed(cap: string): void;
  /** Somebody was refused who said who they are, or did not. */
  authFailed(reason: 'missing' | 'invalid' | 'unavailable' | 'limited'): void;
  /** The reader of an answer took nothing for so long that it was dropped. */
  stalled(): void;
  /** In Prometheus's text format, with the content type to send it as. */
  render(): Promise<{ type: string; text: string }>;
}

export interface MetricsDeps {
  bus: Bus;
  version: string;
  /** '' = what is checked out. */
  commit: string;
  /** Node's own too (memory, event loop). */
  ofProcess: boolean;
  fleet: FleetDeps;
  /** Streams that are open here now: answers to callers, control streams of workers. */
  open: { answers: () => number; workers: () => number };
}

/** One set per process: what this edge does, and what the stores know of the whole installation. */
export function createMetrics({ bus, version, commit, ofProcess, fleet, open }: MetricsDeps): Metrics {
  const registry = processMetrics({ version, commit, ofNode: ofProcess });
  countLoops(registry, bus);
  const registers: [Registry] = [registry];
  const stores = openFleet(registry, fleet);
  new Gauge({
    name: 'mcpctl_sse_streams_open',
    help: 'Event streams open at this edge: answers to callers, control streams of workers.',
    labelNames: ['of'],
    registers,
    collect() {
      this.set({ of: 'callers' }, open.answers());
      this.set({ of: 'workers' }, open.workers());
    },
  });
  return {
    ...httpMetrics(registers),
    workers: () => stores.workers(),
    began: inferenceMetrics(registry, { bus, clock: fleet.clock }),
    async render() {
      await stores.refresh();
      return { type: registry.contentType, text: await registry.metrics() };
    },
  };
}

type HttpMetrics = Pick<Metrics, 'request' | 'refused' | 'slowed' | 'authFailed' | 'stalled'>;

function httpMetrics(registers: [Registry]): HttpMetrics {
  const labelNames = ['route', 'method', 'code'] as const;
  const requests = new Counter({
    name: 'mcpctl_http_requests_total',
    help: 'Requests that ended.',
    labelNames,
    registers,
  });
  const took = new Histogram({
    name: 'mcpctl_http_request_duration_seconds',
    help: 'From the request to the end of its answer; streams included.',
    labelNames,
    buckets: durations,
    registers,
  });
  const refused = new Counter({
    name: 'mcpctl_refused_total',
    help: 'Calls and connections that a limit refused with 429, 413 or 431.',
    labelNames: ['cap'],
    registers,
  });
  const slowed = new Counter({
    name: 'mcpctl_slowed_total',
    help: 'Requests that came faster than one may, and waited for their time.',
    labelNames: ['cap'],
    registers,
  });
  const failures = new Counter({
    name: 'mcpctl_auth_failures_total',
    help: 'Requests refused for want of a valid token.',
    labelNames: ['reason'],
    registers,
  });
  const stalled = new Counter({
    name: 'mcpctl_stalled_readers_total',
    help: 'Readers that were dropped because they took nothing of their answer.',
    registers,
  });
  return {
    stalled: () => stalled.inc(),
    request({ seconds, ...labels }) {
      requests.inc(labels);
      took.observe(labels, seconds);
    },
    refused: (cap) => refused.inc({ cap }),
    slowed: (cap) => slowed.inc({ cap }),
    authFailed: (reason) => failures.inc({ reason }),
  };
}
