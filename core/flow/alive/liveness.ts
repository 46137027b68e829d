import type { LlmRow } from '../../llm.ts';
import {
  keptMs,
  seenWithinMs,
  type Lease,
  type LostMember,
  type MemberPresence,
  type PoolPresence,
  type Presence,
} from '../../member/presence.ts';
import type { Registry } from '../../registry/registry.ts';

/** A row with who is live laid over it (docs/spec.md §2): what every read shows and every decision uses. */
export interface LiveLlm {
  row: LlmRow;
  status: LlmRow['status'];
  inactiveReason: LlmRow['inactiveReason'];
  inactiveSince: Date | null;
  /** Why its backend refuses what is configured: as its worker published it, or a hosted worker announces it. */
  misconfigured: string | null;
  /** Why it takes nothing now, or sleeps, as its worker says; null once that has left. */
  statusReason: string | null;
  /** Workers that serve it now: a virtual one has at most its publisher, a public one any number. */
  servedBy: number;
  /** As those workers announced it last. Only where the pool was loaded. */
  announced: readonly MemberPresence[];
  /** Its stream was lost less than a second ago, and it may be back at once. Only where the pool was loaded. */
  returning: boolean;
}

export interface LivePool {
  key: string;
  members: readonly LiveLlm[];
  /**
   * Llms that have left it and still take what waits (core/registry/llms/former-members.ts): whoever decides about that heeds them
   * (`takersIn`), what is asked anew does not reach them.
   */
  former: readonly LiveLlm[];
  /** Redis came back empty just now: what it does not know proves nothing. */
  fresh: boolean;
}

/** All who may have what waits in a pool. */
export const takersIn = ({ members, former }: LivePool): LiveLlm[] => [...members, ...former];

type Announced = Omit<PoolPresence, 'fresh'>;
const nothing = { members: [], lost: [] };

/** Who of the sessions that were asked about lives, and by which stream. */
interface Leases {
  isLive: (sessionId: string) => boolean;
  leaseOf: (sessionId: string) => Lease | undefined;
}

/** The overlay itself. Pure: `leases` and `announced` are what was found just before. */
function overlay(row: LlmRow, leases: Leases, announced: Announced = nothing): LiveLlm {
  const { status, inactiveReason, inactiveSince, providerSessionId: session } = row;
  const asSaid = { row, status, inactiveReason, inactiveSince, statusReason: null, returning: false };
  const presences = announced.members.filter((member) => member.llmId === row.id);
  if (row.kind === 'public') {
    // No session of its own says whether a hosted worker is gone: its silence does.
    const own = presences.filter((member) => member.ageMs < seenWithinMs);
    const servedBy = own.filter((member) => member.state === 'serving').length;
    const misconfigured = own.find((member) => member.misconfigured !== undefined)?.misconfigured ?? null;
    return { ...asSaid, misconfigured, servedBy, announced: own };
  }
  const lost = lossOf(row, leases, announced.lost);
  const isThere = session !== null && leases.isLive(session) && !lost;
  if (lost || (status !== 'inactive' && !isThere)) {
    return {
      row,
      status: 'inactive',
      inactiveReason: status === 'inactive' ? inactiveReason : 'publisher_gone',
      inactiveSince: inactiveSince ?? row.lastHeartbeatAt ?? row.updatedAt,
      misconfigured: null,
      statusReason: null,
      servedBy: 0,
      announced: [],
      returning: lost !== undefined && lost.served && lost.ageMs < keptMs,
    };
  }
  // Who has left says nothing of it any more.
  const misconfigured = isThere ? row.misconfigured : null;
  const own = presences.filter((member) => member.sessionId === session);
  return {
    ...asSaid,
    misconfigured,
    statusReason: isThere ? row.statusReason : null,
    servedBy: status === 'active' && row.hold === null ? 1 : 0,
    announced: own,
  };
}

/** What was said of the stream that carried it, unless another stream, or the worker itself, holds the session by now. */
function lossOf(row: LlmRow, { leaseOf }: Leases, lost: readonly LostMember[]): LostMember | undefined {
  const { id, providerSessionId: session } = row;
  if (session === null) return undefined;
  const nonce = leaseOf(session)?.nonce;
  return lost.find(
    (member) =>
      member.llmId === id && member.sessionId === session && (nonce === undefined || nonce === member.nonce),
  );
}

/** Somebody announces what no row puts there, or Redis is too young to tell: only then is it asked who has left. */
function namesOthers(presence: PoolPresence | undefined, poolKey: string, rows: readonly LlmRow[]): boolean {
  if (!presence) return false;
  const isThere = (llmId: string): boolean => rows.some((row) => row.id === llmId && row.poolKey === poolKey);
  return presence.fresh || presence.members.some(({ llmId }) => !isThere(llmId));
}

export interface Liveness {
  /** Answers for these sessions; any other one counts as live, because nobody asked. */
  sessions(ids: readonly string[]): Promise<(sessionId: string) => boolean>;
  /** Rows with liveness, for lists. */
  llms(rows: readonly LlmRow[]): Promise<LiveLlm[]>;
  /** A pool with its members, by name; empty when it has no row. */
  loadPool(poolKey: string): Promise<LivePool>;
  loadPools(poolKeys: readonly string[]): Promise<LivePool[]>;
}

const sessionsOf = (rows: readonly LlmRow[]): string[] => [
  ...new Set(rows.flatMap((row) => (row.providerSessionId === null ? [] : [row.providerSessionId]))),
];

export function createLiveness(deps: { registry: Registry; presence: Presence; leaseMs: number }): Liveness {
  const { registry, presence, leaseMs } = deps;

  const leasesOf = async (ids: readonly string[]): Promise<Leases> => {
    if (ids.length === 0) return { isLive: () => true, leaseOf: () => undefined };
    const asked = new Set(ids);
    const { fresh, live } = await presence.sessions(ids);
    const missing = ids.filter((id) => !live.has(id));
    const recent = fresh ? await registry.sessions.beatenWithin(missing, leaseMs) : new Set<string>();
    return {
      isLive: (id) => !asked.has(id) || live.has(id) || recent.has(id),
      leaseOf: (id) => live.get(id),
    };
  };

  const announcedIn = async (poolKeys: readonly string[]): Promise<Map<string, PoolPresence>> => {
    const pools = await Promise.all(poolKeys.map((key) => presence.members(key)));
    return new Map(poolKeys.map((key, at) => [key, pools[at] ?? { fresh: false, ...nothing }]));
  };

  const loadPools = async (poolKeys: readonly string[]): Promise<LivePool[]> => {
    const [rows, announced] = await Promise.all([registry.llms.byPools(poolKeys), announcedIn(poolKeys)]);
    const withOthers = poolKeys.filter((key) => namesOthers(announced.get(key), key, rows));
    const former = withOthers.length === 0 ? [] : await registry.llms.formerIn(withOthers);
    const leases = await leasesOf(sessionsOf([...rows, ...former]));
    return poolKeys.map((key) => {
      const presence = announced.get(key);
      const liveOf = (all: readonly LlmRow[]): LiveLlm[] =>
        all.filter((row) => row.poolKey === key).map((row) => overlay(row, leases, presence));
      return { key, members: liveOf(rows), former: liveOf(former), fresh: presence?.fresh ?? false };
    });
  };

  return {
    sessions: async (ids) => (await leasesOf(ids)).isLive,
    loadPools,
    async llms(rows) {
      const publicPools = new Set(rows.filter((row) => row.kind === 'public').map((row) => row.poolKey));
      const [leases, announced] = await Promise.all([
        leasesOf(sessionsOf(rows)),
        announcedIn([...publicPools]),
      ]);
      return rows.map((row) => overlay(row, leases, announced.get(row.poolKey)));
    },
    async loadPool(poolKey) {
      const [pool] = await loadPools([poolKey]);
      return pool ?? { key: poolKey, members: [], former: [], fresh: false };
    },
  };
}
