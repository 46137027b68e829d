import type { QueueDoor } from '../../../core/queue/door.ts';
import type { JobsSeen } from '../../../core/queue/jobs/counts.ts';
import type { Registry } from '../../../core/registry/registry.ts';

export interface ShownDeps {
  queue: Pick<QueueDoor, 'jobs' | 'keys' | 'queueOf'>;
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
  /** Of one llm only: shown while there is something in it. */
  directed: boolean;
}

/**
 * The queues of pools that are there: those that somebody looks at, then busy ones, then those with jobs that have
 * ended, then idle ones.
 * @param looked titles.
 */
export async function boardQueues(
  { queue, registry }: ShownDeps,
  looked: ReadonlySet<string>,
): Promise<BoardQueue[]> {
  const [llms, open] = await Promise.all([registry.llms.places(), registry.tasks.openPools()]);
  const pools = [...new Set([...llms.map((llm) => llm.poolKey), ...open])];
  const candidates: Candidate[] = [
    ...pools.map((poolKey) => ({
      name: queue.keys.pool(poolKey).queue(),
      title: poolKey,
      description: 'Tasks of the pool',
      directed: false,
    })),
    ...llms.map(({ id, name, poolKey }) => ({
      name: queue.keys.pool(poolKey).queue(id),
      title: `${poolKey}:${name}`,
      description: 'Tasks pinned to this member',
      directed: true,
    })),
  ];
  const names = candidates.map((candidate) => candidate.name);
  const seen = await queue.jobs.see(names);
  const ranked = candidates
    .map((candidate, i) => ({
      ...candidate,
      rank: looked.has(candidate.title) ? LOOKED : ranks[seen[i] ?? 'none'],
    }))
    .filter(({ directed, rank }) => !directed || rank < IDLE)
    .sort((a, b) => a.rank - b.rank || (a.title < b.title ? -1 : 1))
    .map(({ name, title, description }) => ({ name, title, description }));
  return await readable(queue.jobs, ranked);
}

/** The first of them that Bull Board can read: it shows all or nothing, and a session may break the keys of its own pools. */
async function readable(
  jobs: ShownDeps['queue']['jobs'],
  queues: readonly BoardQueue[],
): Promise<BoardQueue[]> {
  const shown: BoardQueue[] = [];
  for (let at = 0; at < queues.length && shown.length < MOST; at += MOST) {
    const some = queues.slice(at, at + MOST);
    const names = some.map(({ name }) => name);
    const sound = await jobs.areReadable(names);
    shown.push(...some.filter((_, i) => sound[i]));
  }
  return shown.slice(0, MOST);
}

/** Who is shown before whom. */
const LOOKED = -1;
const IDLE = 2;
const ranks: Readonly<Record<JobsSeen, number>> = { open: 0, over: 1, none: IDLE };
