import { Counter, Gauge, type Registry as Metrics } from 'prom-client';
import { messageOf } from '../../core/errors.ts';
import type { QueueDoor } from '../../core/queue/door.ts';
import type { SchedulerTally } from '../../core/queue/tally.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { inTurns } from '../../core/runtime/told-apart.ts';
import type { Log } from '../../core/runtime/log.ts';
import { seenWorkers, type PoolMember, type WorkerSeen } from './workers.ts';

export interface FleetDeps {
  registry: Pick<Registry, 'llms' | 'tasks' | 'sessions'>;
  queue: Pick<QueueDoor, 'jobs' | 'tally' | 'keys' | 'presence'>;
  clock: Clock;
  log: Log;
}

export interface Fleet {
  /** Brings the series up to date. Never rejects: `mcpctl_stores_up` says how it went. */
  refresh(): Promise<void>;
  /** The workers as they were just now. @throws McpctlError `unavailable`. */
  workers(): Promise<readonly WorkerSeen[]>;
}

/** A label for each would be a series for each: those with tasks are told apart first, owners taking turns; the rest is one. */
const MOST_POOLS = 100;
/** Several scrapers, and a target for each worker: the stores are asked once in this time. */
const AGAIN_MS = 5_000;

interface Row {
  labels: Record<string, string>;
  value: number;
}

/**
 * What the whole installation looks like, asked when somebody scrapes: queues, pools, workers, the scheduler. Every
 * edge answers the same, so take the maximum over edges, not the sum.
 */
export function openFleet(metrics: Metrics, deps: FleetDeps): Fleet {
  const series = fleetSeries(metrics);
  let lookedAt = -Infinity;
  let looking: Promise<readonly WorkerSeen[]> = Promise.resolve([]);
  const look = async (): Promise<readonly WorkerSeen[]> => {
    const [pools, tally] = await Promise.all([lookAtPools(deps), deps.queue.tally.read()]);
    const workers = await seenWorkers(deps, pools);
    showPools(series, pools);
    showWorkers(series, workers);
    showScheduler(series, tally);
    return workers;
  };
  const workers = (): Promise<readonly WorkerSeen[]> => {
    if (deps.clock.elapsed() - lookedAt < AGAIN_MS) return looking;
    lookedAt = deps.clock.elapsed();
    return (looking = look());
  };
  return {
    workers,
    async refresh() {
      try {
        await workers();
        series.up.set(1);
      } catch (thrown) {
        series.up.set(0);
        deps.log.debug({ why: messageOf(thrown) }, 'a scrape could not ask the stores');
      }
    },
  };
}

type Series = ReturnType<typeof fleetSeries>;

function fleetSeries(metrics: Metrics) {
  const registers = [metrics];
  const gauge = (name: string, help: string, labelNames: string[]) =>
    new Gauge({ name: `mcpctl_${name}`, help, labelNames, registers });
  const counter = (name: string, help: string, labelNames: string[]) =>
    new Counter({ name: `mcpctl_scheduler_${name}_total`, help, labelNames, registers });
  const last = 'When a duty last ran well.';
  const up = '1 when Redis and Postgres answered this scrape; else the others here are old.';
  return {
    jobs: gauge('queue_jobs', 'Jobs in the queues of a pool, pinned ones too.', ['pool', 'state']),
    oldest: gauge('queue_oldest_seconds', 'Age of the oldest task of a pool that has not ended.', ['pool']),
    members: gauge('pool_members', 'Members of a pool.', ['pool', 'state']),
    workers: gauge('workers', 'Workers heard of in the last 24 hours that did not say goodbye.', ['state']),
    info: gauge('worker_info', 'Always 1; the labels say what runs.', ['worker', 'version', 'transport']),
    seen: gauge('worker_last_seen_timestamp_seconds', 'When a worker was last heard from.', ['worker']),
    slots: gauge('worker_slots', 'Tasks that a worker takes at once.', ['worker']),
    busy: gauge('worker_slots_busy', 'Tasks that a worker runs now.', ['worker']),
    runs: counter('runs', 'How often a duty of the scheduler ran.', ['sweep', 'outcome']),
    did: counter('acted', 'How much a duty of the scheduler had to do.', ['sweep']),
    items: counter(
      'items',
      'Items of a duty that were left for want of time, failed and rest, or never worked and were ended.',
      ['sweep', 'outcome'],
    ),
    removed: counter('removed', 'What the scheduler deleted because its time was over.', ['kind']),
    settled: counter('settled', 'Tasks that the scheduler ended: those nobody waited for.', ['status']),
    tokens: counter('tokens', 'Tokens of the tasks that the scheduler ended.', ['type']),
    last: gauge('scheduler_last_success_timestamp_seconds', last, ['sweep']),
    up: gauge('stores_up', up, []),
  };
}

function show(of: Gauge | Counter, rows: readonly Row[]): void {
  of.reset();
  for (const { labels, value } of rows) of.inc(labels, value);
}

const jobStates = ['waiting', 'active', 'completed', 'failed'] as const;

type Pools = Awaited<ReturnType<typeof lookAtPools>>;

async function lookAtPools({ registry, queue }: FleetDeps) {
  const [places, open] = await Promise.all([registry.llms.places(), registry.tasks.openPools()]);
  const poolKeys = [...new Set([...open, ...places.map(({ poolKey }) => poolKey)])];
  const queues = [
    ...poolKeys.map((pool) => ({ pool, name: queue.keys.pool(pool).queue() })),
    ...places.map(({ poolKey: pool, id }) => ({ pool, name: queue.keys.pool(pool).queue(id) })),
  ];
  const owners = new Map(places.map(({ poolKey, ownerId }) => [poolKey, ownerId]));
  const toldApart = inTurns(poolKeys, (key) => owners.get(key) ?? '', MOST_POOLS);
  const [counts, ages, presence] = await Promise.all([
    queue.jobs.count(queues.map(({ name }) => name)),
    registry.tasks.open(poolKeys),
    Promise.all(toldApart.map((key) => queue.presence.members(key))),
  ]);
  const members = presence.flatMap(({ members: of }, i): PoolMember[] =>
    of.map((member) => ({ ...member, pool: toldApart[i] ?? '' })),
  );
  const jobs = queues.map(({ pool }, i) => ({ pool, counts: counts[i] }));
  return { places, toldApart: new Set(toldApart), jobs, ages, members };
}

function showPools({ jobs, oldest, members }: Series, pools: Pools): void {
  const pool = (key: string): string => (pools.toldApart.has(key) ? key : 'other');
  show(
    jobs,
    pools.jobs.flatMap(({ pool: key, counts }) =>
      jobStates.map((state) => ({ labels: { pool: pool(key), state }, value: counts?.[state] ?? 0 })),
    ),
  );
  const ages = new Map<string, number>();
  for (const [key, { oldestMs }] of pools.ages)
    ages.set(pool(key), Math.max(oldestMs / 1_000, ages.get(pool(key)) ?? 0));
  show(
    oldest,
    [...ages].map(([key, value]) => ({ labels: { pool: key }, value })),
  );
  show(
    members,
    pools.members.map((m) => ({ labels: { pool: pool(m.pool), state: m.state }, value: 1 })),
  );
}

const workerStates = ['live', 'draining', 'gone'] as const satisfies readonly WorkerSeen['state'][];

function showWorkers(series: Series, workers: readonly WorkerSeen[]): void {
  const up = workers.filter(({ state }) => state !== 'gone');
  const each = (of: readonly WorkerSeen[], value: (worker: WorkerSeen) => number): Row[] =>
    of.map((worker) => ({ labels: { worker: worker.id }, value: value(worker) }));
  show(
    series.workers,
    workerStates.map((state) => ({
      labels: { state },
      value: workers.filter((worker) => worker.state === state).length,
    })),
  );
  show(
    series.info,
    up.map(({ id, version, transport }) => ({ labels: { worker: id, version, transport }, value: 1 })),
  );
  show(
    series.seen,
    each(workers, ({ lastSeenMs }) => lastSeenMs / 1_000),
  );
  show(
    series.slots,
    each(up, ({ slots }) => slots),
  );
  show(
    series.busy,
    each(up, ({ busy }) => busy),
  );
}

function showScheduler(series: Series, { duties, counted }: SchedulerTally): void {
  show(
    series.runs,
    duties.flatMap(({ duty, ok, failed }) => [
      { labels: { sweep: duty, outcome: 'ok' }, value: ok },
      { labels: { sweep: duty, outcome: 'failed' }, value: failed },
    ]),
  );
  show(
    series.did,
    duties.map(({ duty, did }) => ({ labels: { sweep: duty }, value: did })),
  );
  show(
    series.items,
    duties.flatMap(({ duty, left, isolated, ended }) => [
      { labels: { sweep: duty, outcome: 'left' }, value: left },
      { labels: { sweep: duty, outcome: 'failed' }, value: isolated },
      { labels: { sweep: duty, outcome: 'ended' }, value: ended },
    ]),
  );
  show(
    series.last,
    duties.map(({ duty, lastOkMs }) => ({ labels: { sweep: duty }, value: lastOkMs / 1_000 })),
  );
  const by = (what: string, label: string): Row[] =>
    counted
      .filter((one) => one.what === what)
      .map(({ by: value, count }) => ({ labels: { [label]: value }, value: count }));
  show(series.removed, by('removed', 'kind'));
  show(series.settled, by('settled', 'status'));
  show(series.tokens, by('tokens', 'type'));
}
