import type { QueueDoor } from '../../core/queue/door.ts';
import type { MemberPresence } from '../../core/member/presence.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { Clock } from '../../core/runtime/clock.ts';

export interface WorkersDeps {
  registry: Pick<Registry, 'llms' | 'sessions'>;
  queue: Pick<QueueDoor, 'presence'>;
  clock: Clock;
}

/** A worker as operators see it: a provider session, or a hosted worker, which has none in Postgres. */
export interface WorkerSeen {
  id: string;
  version: string;
  transport: 'redis' | 'sse';
  state: 'live' | 'draining' | 'gone';
  /** Unix time in milliseconds. */
  lastSeenMs: number;
  llms: readonly { name: string; pool: string; state: MemberPresence['state']; running: number }[];
  /** Llms of one backend share its slots, so these are not the sum over llms. */
  slots: number;
  busy: number;
}

/** An llm as `registry.llms.places` gives it. */
type Place = Awaited<ReturnType<Registry['llms']['places']>>[number];
export type PoolMember = MemberPresence & { pool: string };

/** A label for each would be series for each. */
const MOST_WORKERS = 200;
const LISTED_MS = 24 * 3_600_000;

/**
 * Workers that gave a sign of life in the last 24 hours and did not say goodbye, those heard last first.
 * @param members who serves the pools that are looked at.
 */
export async function seenWorkers(
  { registry, queue, clock }: WorkersDeps,
  { places, members }: { places: readonly Place[]; members: readonly PoolMember[] },
): Promise<WorkerSeen[]> {
  const sessions = await registry.sessions.seenWithin(LISTED_MS, MOST_WORKERS);
  const { live } = await queue.presence.sessions(sessions.map(({ id }) => id));
  const publishedIds = new Set(sessions.map(({ id }) => id));
  const llms = new Map(places.map((place) => [place.id, place]));
  const now = clock.now();
  const of = (id: string): PoolMember[] => members.filter(({ sessionId }) => sessionId === id);
  const published = sessions.map(({ id, workerVersion, transport, lastHeartbeatAt }) => {
    const lastSeenMs = Math.min(lastHeartbeatAt.getTime(), now);
    return seen({ id, version: workerVersion, transport, isLive: live.has(id), lastSeenMs }, of(id), llms);
  });
  const hostedIds = [...new Set(members.map(({ sessionId }) => sessionId))].filter(
    (id) => !publishedIds.has(id),
  );
  const hosted = hostedIds.map((id) => {
    const lastSeenMs = now - Math.min(...of(id).map(({ ageMs }) => ageMs));
    return seen({ id, version: null, transport: 'redis', isLive: true, lastSeenMs }, of(id), llms);
  });
  return [...hosted, ...published].slice(0, MOST_WORKERS);
}

function seen(
  about: Pick<WorkerSeen, 'id' | 'transport' | 'lastSeenMs'> & { version: string | null; isLive: boolean },
  members: readonly PoolMember[],
  llms: ReadonlyMap<string, Place>,
): WorkerSeen {
  const { id, version, transport, isLive, lastSeenMs } = about;
  const isDraining = members.length > 0 && members.every(({ state }) => state === 'draining');
  const groups = new Map<string, number>();
  for (const { llmId, slots } of members) {
    const group = llms.get(llmId)?.slotGroup ?? llmId;
    groups.set(group, Math.max(slots, groups.get(group) ?? 0));
  }
  return {
    id,
    version: version ?? 'unknown',
    transport,
    state: !isLive ? 'gone' : isDraining ? 'draining' : 'live',
    lastSeenMs,
    llms: members.map(({ llmId, pool, state, running }) => ({
      name: llms.get(llmId)?.name ?? llmId,
      pool,
      state,
      running,
    })),
    slots: [...groups.values()].reduce((sum, slots) => sum + slots, 0),
    busy: members.reduce((sum, { running }) => sum + running, 0),
  };
}
