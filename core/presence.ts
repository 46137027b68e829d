/**
 * What Redis knows of who is live (`core/queue/presence.ts` keeps it). All of it may vanish with Redis:
 * `fresh` tells a reader when to ask Postgres instead (SPEC §2).
 */
export interface Lease {
  /** The `instanceId` of the process that holds the session. */
  boot: string;
}

export interface LiveSessions {
  /** Redis came back empty less than a lease ago: a missing lease proves nothing, `lastHeartbeatAt` decides. */
  fresh: boolean;
  live: ReadonlyMap<string, Lease>;
}

/** One member of a pool, as its worker announced it last. */
export interface MemberPresence {
  llmId: string;
  sessionId: string;
  boot: string;
  slots: number;
  running: number;
  /** `asleep`: hibernating; `draining`: takes nothing new; `down`: its backend does not answer. */
  state: 'serving' | 'draining' | 'asleep' | 'down';
  /** Milliseconds since it was announced, by Redis's clock. */
  ageMs: number;
}

export interface Presence {
  /** Which of these sessions hold a lease. @throws McpctlError `unavailable` when Redis is away. */
  sessions(ids: readonly string[]): Promise<LiveSessions>;
  /** Takes or extends the lease of a session for `boot`. */
  hold(sessionId: string, boot: string): Promise<void>;
  /**
   * Announces the members of a session that has just registered, so that they are served from this moment on;
   * from then on their worker announces them itself.
   */
  introduce(
    session: { sessionId: string; boot: string },
    members: readonly { llmId: string; poolKey: string; slots: number; state: MemberPresence['state'] }[],
  ): Promise<void>;
  /** Extends a lease, whoever holds it; false when there is none. */
  extend(sessionId: string): Promise<boolean>;
  /** Drops the lease, and the session's members from these pools: the session is gone at once. */
  drop(sessionId: string, poolKeys: readonly string[]): Promise<void>;
  /**
   * Does a process of this session and boot run: it listens on its control channel, and has just extended the
   * lease? A SIGKILLed one does not listen; for one whose network was lost Redis may listen for minutes.
   */
  isConnected(sessionId: string, boot: string): Promise<boolean>;
  /** Who serves a pool, announced within the last lease. */
  members(poolKey: string): Promise<{ fresh: boolean; members: MemberPresence[] }>;
}
