import type { LlmRow } from '../llm.ts';
import type { MemberPresence, Presence } from '../presence.ts';
import type { Registry } from '../registry/registry.ts';

/** A row with who is live laid over it (SPEC §2): what every read shows and every decision uses. */
export interface LiveLlm {
  row: LlmRow;
  status: LlmRow['status'];
  inactiveReason: LlmRow['inactiveReason'];
  inactiveSince: Date | null;
  /** Workers that serve it now: a virtual one has at most its publisher, a public one any number. */
  servedBy: number;
  /** As those workers announced it last. Only where the pool was loaded. */
  announced: readonly MemberPresence[];
}

export interface LivePool {
  key: string;
  members: readonly LiveLlm[];
  /** Members that serve now; a public one that nobody serves is none of them. */
  activeCount: number;
  /** Redis came back empty just now: what it does not know proves nothing. */
  fresh: boolean;
}

/** A worker announces itself each second; one that has not for this long takes nothing. */
export const seenWithinMs = 10_000;

/** The overlay itself. Pure: `isLive` and `announced` are what was found just before. */
function overlay(
  row: LlmRow,
  isLive: (sessionId: string) => boolean,
  announced: readonly MemberPresence[] = [],
): LiveLlm {
  const { status, inactiveReason, inactiveSince } = row;
  const said = announced.filter((member) => member.llmId === row.id);
  if (row.kind === 'public') {
    // No session of its own says whether a hosted worker is gone: its silence does.
    const own = said.filter((member) => member.ageMs < seenWithinMs);
    const servedBy = own.filter((member) => member.state === 'serving').length;
    return { row, status, inactiveReason, inactiveSince, servedBy, announced: own };
  }
  if (status !== 'inactive' && (row.providerSessionId === null || !isLive(row.providerSessionId))) {
    const since = row.lastHeartbeatAt ?? row.updatedAt;
    return {
      row,
      status: 'inactive',
      inactiveReason: 'publisher_gone',
      inactiveSince: since,
      servedBy: 0,
      announced: [],
    };
  }
  const servedBy = status === 'active' ? 1 : 0;
  const own = said.filter((member) => member.sessionId === row.providerSessionId);
  return { row, status, inactiveReason, inactiveSince, servedBy, announced: own };
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

  const sessions = async (ids: readonly string[]): Promise<(sessionId: string) => boolean> => {
    if (ids.length === 0) return () => true;
    const asked = new Set(ids);
    const { fresh, live } = await presence.sessions(ids);
    const missing = ids.filter((id) => !live.has(id));
    const recent = fresh ? await registry.sessions.beatenWithin(missing, leaseMs) : new Set<string>();
    return (id) => !asked.has(id) || live.has(id) || recent.has(id);
  };

  const announcedIn = async (poolKeys: readonly string[]) => {
    const pools = await Promise.all(poolKeys.map((key) => presence.members(key)));
    return new Map(poolKeys.map((key, at) => [key, pools[at] ?? { fresh: false, members: [] }]));
  };

  const loadPools = async (poolKeys: readonly string[]): Promise<LivePool[]> => {
    const [rows, announced] = await Promise.all([registry.llms.byPools(poolKeys), announcedIn(poolKeys)]);
    const isLive = await sessions(sessionsOf(rows));
    return poolKeys.map((key) => {
      const { fresh, members: known } = announced.get(key) ?? { fresh: false, members: [] };
      const members = rows.filter((row) => row.poolKey === key).map((row) => overlay(row, isLive, known));
      const activeCount = members.filter((m) => m.status === 'active' && m.servedBy > 0).length;
      return { key, members, activeCount, fresh };
    });
  };

  return {
    sessions,
    loadPools,
    async llms(rows) {
      const publicPools = new Set(rows.filter((row) => row.kind === 'public').map((row) => row.poolKey));
      const [isLive, announced] = await Promise.all([
        sessions(sessionsOf(rows)),
        announcedIn([...publicPools]),
      ]);
      return rows.map((row) => overlay(row, isLive, announced.get(row.poolKey)?.members));
    },
    async loadPool(poolKey) {
      const [pool] = await loadPools([poolKey]);
      return pool ?? { key: poolKey, members: [], activeCount: 0, fresh: false };
    },
  };
}
