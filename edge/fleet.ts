import { Gauge, type Registry as Metrics } from 'prom-client';
import { messageOf } from '../core/errors.ts';
import { countJobs } from '../core/queue/counts.ts';
import type { QueueDoor } from '../core/queue/door.ts';
import { readTally } from '../core/queue/tally.ts';
import type { Registry } from '../core/registry/registry.ts';
import type { Clock } from '../core/runtime/clock.ts';
import type { Log } from '../core/runtime/log.ts';

export interface FleetDeps {
  registry: Pick<Registry, 'llms' | 'tasks' | 'sessions'>;
  queue: Pick<QueueDoor, 'redis' | 'keys' | 'presence'>;
  clock: Clock;
  log: Log;
}

/** A label for each would be a series for each: the busiest are told apart, the rest is one. */
const MOST_POOLS = 100;
const MOST_WORKERS = 200;
const LISTED_MS = 24 * 3_600_000;
/** Several edges, several scrapers: the stores are asked once in this time. */
const AGAIN_MS = 5_000;

interface Row {
  labels: Record<string, string>;
  value: number;
}

/**
 * What the whole installation looks like, asked when somebody scrapes: queues, pools, workers. Every edge answers the
 * same, so take the maximum over edges, not the sum.
 */
export function fleetGauges(metrics: Metrics, deps: FleetDeps): () => Promise<void> {
  const gauges = fleetSeries(metrics);
  const set = (of: Gauge, rows: readonly Row[]): void => {
    of.reset();
    for (const { labels, value } of rows) of.set(labels, value);
  };
  const look = async (): Promise<void> => {
    const [pools, workers, duties] = await Promise.all([
      poolRows(deps),
      workerRows(deps),
      readTally(deps.queue.redis, deps.queue.keys),
    ]);
    set(gauges.jobs, pools.jobs);
    set(gauges.oldest, pools.oldest);
    set(gauges.members, pools.members);
    set(gauges.slots, pools.slots);
    set(gauges.busy, pools.busy);
    set(gauges.workers, workers.states);
    set(gauges.info, workers.info);
    set(gauges.seen, workers.seen);
    const sweep = (duty: string, value: number, more = {}): Row => ({
      labels: { sweep: duty, ...more },
      value,
    });
    const both = duties.flatMap(({ duty, ok, failed }) => [
      sweep(duty, ok, { outcome: 'ok' }),
      sweep(duty, failed, { outcome: 'failed' }),
    ]);
    set(gauges.runs, both);
    set(
      gauges.did,
      duties.map(({ duty, did }) => sweep(duty, did)),
    );
    set(
      gauges.last,
      duties.map(({ duty, lastOkMs }) => sweep(duty, lastOkMs / 1_000)),
    );
  };
  let at = -Infinity;
  return async () => {
    if (deps.clock.elapsed() - at < AGAIN_MS) return;
    at = deps.clock.elapsed();
    try {
      await look();
      gauges.up.set(1);
    } catch (thrown) {
      gauges.up.set(0);
      deps.log.debug({ why: messageOf(thrown) }, 'a scrape could not ask the stores');
    }
  };
}

function fleetSeries(metrics: Metrics) {
  const gauge = (name: string, help: string, labelNames: string[]) =>
    new Gauge({ name: `mcpctl_${name}`, help, labelNames, registers: [metrics] });
  return {
    jobs: gauge('queue_jobs', 'Jobs in the queue of a pool.', ['pool', 'state']),
    oldest: gauge('queue_oldest_seconds', 'Age of the oldest task of a pool that no member has.', ['pool']),
    members: gauge('pool_members', 'Members of a pool.', ['pool', 'state']),
    workers: gauge('workers', 'Provider sessions.', ['state']),
    info: gauge('worker_info', 'Always 1; the labels say what runs.', ['worker', 'version', 'transport']),
    seen: gauge('worker_last_seen_timestamp_seconds', 'When a worker was last heard from.', ['worker']),
    slots: gauge('worker_slots', 'Tasks that a worker takes at once, by its llms.', ['worker']),
    busy: gauge('worker_slots_busy', 'Tasks that a worker runs now.', ['worker']),
    runs: gauge('scheduler_runs_total', 'How often a duty of the scheduler ran.', ['sweep', 'outcome']),
    did: gauge('scheduler_acted_total', 'How much a duty of the scheduler had to do.', ['sweep']),
    last: gauge('scheduler_last_success_timestamp_seconds', 'When a duty last ran well.', ['sweep']),
    up: gauge(
      'stores_up',
      '1 when Redis and Postgres answered this scrape; else the others here are old.',
      [],
    ),
  };
}

const jobStates = ['waiting', 'active', 'completed', 'failed'] as const;

const summed = (rows: readonly Row[]): Row[] => {
  const all = new Map<string, Row>();
  for (const { labels, value } of rows) {
    const key = JSON.stringify(labels);
    all.set(key, { labels, value: (all.get(key)?.value ?? 0) + value });
  }
  return [...all.values()];
};

async function poolRows({ registry, queue }: FleetDeps) {
  const [llms, open] = await Promise.all([registry.llms.places(), registry.tasks.openPools()]);
  const keys = [...new Set([...open, ...llms.map((llm) => llm.poolKey)])];
  const names = keys.map((key) => queue.keys.pool(key).queue());
  const told = new Set(keys.slice(0, MOST_POOLS));
  const pool = (key: string): string => (told.has(key) ? key : 'other');
  const [counts, ages, presence] = await Promise.all([
    countJobs(queue.redis, queue.keys, names),
    registry.tasks.open(keys),
    Promise.all([...told].map((key) => queue.presence.members(key))),
  ]);
  const members = presence.flatMap((p, i) => p.members.map((m) => ({ ...m, pool: keys[i] ?? '' })));
  const workers = new Set(members.map((m) => m.sessionId).slice(0, MOST_WORKERS));
  const ofWorker = (of: 'slots' | 'running') =>
    members
      .filter((m) => workers.has(m.sessionId))
      .map((m) => ({ labels: { worker: m.sessionId }, value: m[of] }));
  return {
    jobs: summed(
      counts.flatMap((count, i) =>
        jobStates.map((state) => ({ labels: { pool: pool(keys[i] ?? ''), state }, value: count[state] })),
      ),
    ),
    oldest: [...ages].map(([key, { oldestMs }]) => ({
      labels: { pool: pool(key) },
      value: oldestMs / 1_000,
    })),
    members: summed(members.map((m) => ({ labels: { pool: pool(m.pool), state: m.state }, value: 1 }))),
    slots: summed(ofWorker('slots')),
    busy: summed(ofWorker('running')),
  };
}

async function workerRows({ registry, queue, clock }: FleetDeps) {
  const sessions = await registry.sessions.seenWithin(LISTED_MS, MOST_WORKERS);
  const { live } = await queue.presence.sessions(sessions.map((session) => session.id));
  const up = sessions.filter((session) => live.has(session.id));
  const state = (name: string, value: number): Row => ({ labels: { state: name }, value });
  return {
    states: [state('live', up.length), state('gone', sessions.length - up.length)],
    info: up.map(({ id, workerVersion, transport }) => ({
      labels: { worker: id, version: workerVersion ?? 'unknown', transport },
      value: 1,
    })),
    seen: sessions.map(({ id, lastHeartbeatAt }) => ({
      labels: { worker: id },
      value: Math.min(lastHeartbeatAt.getTime(), clock.now()) / 1_000,
    })),
  };
}
