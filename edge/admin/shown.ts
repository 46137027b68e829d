import type { QueueDoor } from '../../core/queue/door.ts';
import { orUnavailable } from '../../core/queue/connect.ts';
import type { Registry } from '../../core/registry/registry.ts';

export interface ShownDeps {
  queue: Pick<QueueDoor, 'redis' | 'keys' | 'queueOf'>;
  registry: Pick<Registry, 'llms' | 'tasks'>;
}

/** One queue as the board shows it. */
export interface BoardQueue {
  /** BullMQ's: a hash, with an llm id for a member's own. */
  name: string;
  /** What people read: the pool key, with `:<llm>` for a member's own. */
  title: string;
  description: string;
}

/** The board asks every queue it knows with each poll: 50 cost Redis 5 ms, a thousand 100 ms. */
const MOST = 50;

interface Candidate extends BoardQueue {
  poolKey: string;
  /** Of one llm only: shown while there is something in it. */
  directed: boolean;
}

interface Filled extends Candidate {
  live: number;
  kept: number;
}

/** The queues of pools that are there: busy ones first, then those with jobs that have ended, then idle ones. */
export async function boardQueues({ queue, registry }: ShownDeps): Promise<BoardQueue[]> {
  const [llms, open] = await Promise.all([registry.llms.places(), registry.tasks.openPools()]);
  const names = new Map(
    (await registry.llms.byPools([...new Set(llms.map((llm) => llm.poolKey))])).map((row) => [
      row.id,
      row.name,
    ]),
  );
  const pools = [...new Set([...llms.map((llm) => llm.poolKey), ...open])].sort();
  const candidates: Candidate[] = [
    ...pools.map((poolKey) => ({
      name: queue.keys.pool(poolKey).queue(),
      title: poolKey,
      description: 'Tasks of the pool',
      poolKey,
      directed: false,
    })),
    ...llms.map(({ id, poolKey }) => ({
      name: queue.keys.pool(poolKey).queue(id),
      title: `${poolKey}:${names.get(id) ?? id}`,
      description: 'Tasks pinned to this member',
      poolKey,
      directed: true,
    })),
  ];
  const filled = (await withCounts(queue, candidates)).filter((q) => !q.directed || q.live + q.kept > 0);
  const rank = (q: Filled): number => (q.live > 0 ? 0 : q.kept > 0 ? 1 : 2);
  return filled
    .sort((a, b) => rank(a) - rank(b) || a.title.localeCompare(b.title))
    .slice(0, MOST)
    .map(({ name, title, description }) => ({ name, title, description }));
}

/** One pipeline, however many queues there are. */
async function withCounts(
  { redis, keys }: ShownDeps['queue'],
  candidates: readonly Candidate[],
): Promise<Filled[]> {
  const pipeline = redis.pipeline();
  for (const { name } of candidates) {
    const key = `${keys.namespace}:${name}`;
    pipeline.llen(`${key}:wait`).llen(`${key}:active`).zcard(`${key}:prioritized`);
    pipeline.zcard(`${key}:completed`).zcard(`${key}:failed`);
  }
  const answers = (await orUnavailable(pipeline.exec())) ?? [];
  const count = (at: number): number => Number(answers[at]?.[1] ?? 0);
  return candidates.map((candidate, i) => {
    const at = i * 5;
    const live = count(at) + count(at + 1) + count(at + 2);
    return { ...candidate, live, kept: count(at + 3) + count(at + 4) };
  });
}
