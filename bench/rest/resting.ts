import { Redis } from 'ioredis';
import pg from 'pg';
import { McpctlError } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import { countJobs } from '../../core/queue/jobs/counts.ts';
import { createKeys, type Keys } from '../../core/queue/keys.ts';
import { nowMs } from '../report/clock.ts';
import type { Product } from '../product/product.ts';
import type { Bench } from '../scenarios/scenario.ts';
import { layRows, poolName, type Sizes } from './lay.ts';

/** A product with much at rest, beside the one that has nothing. */
export interface Resting {
  product: Product;
  sizes: Sizes;
  pools: readonly string[];
  /** The bench's own connections to the product's stores. */
  client: pg.Client;
  redis: Redis;
  keys: Keys;
  /** Waits until this many jobs stand in the queues of the pools, and looks how many there are every so often. */
  untilQueued: (jobs: number, withinMs: number) => Promise<Mark[]>;
}

/** How many there were at an instant of the monotonic clock. */
export interface Mark {
  at: number;
  count: number;
}

const LAID_MS = 600_000;
const LAID_QUICK_MS = 60_000;
const EVERY_MS = 200;
const STATEMENT_MS = 900_000;

const byBench = new WeakMap<Bench, Promise<Resting>>();

/** The same for every scenario of a run: what lies there takes minutes to lay. */
export function restingOf(bench: Bench): Promise<Resting> {
  let resting = byBench.get(bench);
  if (!resting) byBench.set(bench, (resting = lay(bench)));
  return resting;
}

async function lay(bench: Bench): Promise<Resting> {
  const { quick, progress, ended } = bench;
  const sizes: Sizes = quick
    ? { open: 200, pools: 10, ended: 2_000 }
    : { open: 100_000, pools: 1_000, ended };
  if (!quick) progress('Starting another product, to lay rows into …');
  const product = quick ? bench.system : await bench.startAnother();
  const client = new pg.Client({ connectionString: product.databaseUrl, query_timeout: STATEMENT_MS });
  const redis = new Redis(product.redisUrl);
  // They end with the product.
  client.on('error', () => undefined);
  redis.on('error', () => redis.disconnect());
  await client.connect();
  const from = nowMs();
  await layRows({ product, client }, sizes, (says) => progress(`  ${says}`));
  progress(`  laid after ${((nowMs() - from) / 1_000).toFixed(0)} s`);
  const keys = createKeys('mcpctl');
  const pools = Array.from({ length: sizes.pools }, (_, n) => poolName(n));
  const names = pools.map((key) => keys.pool(key).queue());
  const untilQueued: Resting['untilQueued'] = async (jobs, withinMs) => {
    const marks: Mark[] = [];
    for (const until = nowMs() + withinMs; ; await pause(EVERY_MS)) {
      const count = (await countJobs(redis, keys, names)).reduce((sum, { waiting }) => sum + waiting, 0);
      marks.push({ at: nowMs(), count });
      if (count >= jobs) return marks;
      if (nowMs() > until)
        throw new McpctlError('timed_out', `${String(count)} of ${String(jobs)} tasks are queued.`);
    }
  };
  await redis.flushall(); // what is open is brought at once
  await untilQueued(sizes.open, quick ? LAID_QUICK_MS : LAID_MS);
  progress(`  all are queued after ${((nowMs() - from) / 1_000).toFixed(0)} s`);
  await client.query('vacuum analyze tasks');
  await client.query('checkpoint');
  return { product, sizes, pools, client, redis, keys, untilQueued };
}

/**
 * How many a second, between the first mark at which a tenth was done and the one at which nine tenths were; where that
 * was between two marks, from the first mark to the last.
 */
export function rateOf(marks: readonly Mark[]): number {
  const [first, last] = [marks[0], marks.at(-1)];
  if (!first || !last) return Number.NaN;
  const at = (share: number): Mark =>
    marks.find(({ count }) => Math.abs(count - first.count) >= share * Math.abs(last.count - first.count)) ??
    last;
  const [from, to] = at(0.1) === at(0.9) ? [first, last] : [at(0.1), at(0.9)];
  return Math.abs(to.count - from.count) / ((to.at - from.at) / 1_000);
}
