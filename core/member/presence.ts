import type { AnnouncedState } from './member-state.ts';

/**
 * What Redis knows of who is live (`core/queue/live/presence.ts` keeps it). All of it may vanish with Redis:
 * `fresh` tells a reader when to ask Postgres instead (docs/spec.md §2).
 */
export interface Lease {
  /** The `instanceId` of the process that holds the session. */
  boot: string;
  /** Of the stream that carries it, over the sse transport: only that stream may end the lease. */
  nonce?: string;
}

export interface LiveSessions {
  /** Redis came back empty less than a lease ago: a missing lease proves nothing, `lastHeartbeatAt` decides. */
  fresh: boolean;
  live: ReadonlyMap<string, Lease>;
}

/** A worker announces itself each second; one that has not for this long takes nothing. */
export const seenWithinMs = 10_000;

/** A stream that is lost may come back for so long before its tasks are given to others. Milliseconds. */
export const keptMs = 1_000;

/** One member of a pool, as its worker announced it last. */
export interface MemberPresence {
  llmId: string;
  sessionId: string;
  boot: string;
  slots: number;
  running: number;
  state: AnnouncedState;
  /** Why its backend refuses what is configured, as a sentence. */
  misconfigured?: string | undefined;
  /** How much longer it took nothing then, as its backend had failed, or it had said nothing of its tasks. Milliseconds. */
  restsMs?: number | undefined;
  /** It tells the edge that waits of its tasks, over that edge's channel of the pool. */
  tellsEdges?: true | undefined;
  /** Milliseconds since it was announced, by Redis's clock. */
  ageMs: number;
}

/** A member whose stream was lost while its edge lives: that edge says so, and it is believed before any silence is. */
export interface LostMember {
  llmId: string;
  sessionId: string;
  /** The stream that was lost. */
  nonce: string;
  /** It took tasks until then. */
  served: boolean;
  /** Milliseconds since the loss, by Redis's clock. */
  ageMs: number;
}

/** Who serves a pool, as it was announced within the last lease. */
export interface PoolPresence {
  /** Redis came back empty moments ago: silence proves nothing until everybody has announced themselves again. */
  fresh: boolean;
  members: MemberPresence[];
  lost: LostMember[];
}

export interface Presence {
  /** Which of these sessions hold a lease. @throws McpctlError `unavailable` when Redis is away. */
  sessions(ids: readonly string[]): Promise<LiveSessions>;
  /** Takes the lease of a session for this process; while another stream of the same process holds it, extends it. */
  hold(sessionId: string, boot: string): Promise<void>;
  /** Takes the lease for a stream, whoever held it. */
  holdFor(sessionId: string, stream: Required<Lease>): Promise<void>;
  /**
   * A stream was lost while we live: if it still holds the lease, that ends at once, and what it announced in these
   * pools is marked as lost. Done twice it changes nothing. @returns false when another stream, or another process, has the session.
   */
  lose(sessionId: string, stream: Required<Lease>, poolKeys: readonly string[]): Promise<boolean>;
  /**
   * Announces the members of a session that has just registered, so that they are served from this moment on;
   * from then on their worker announces them itself.
   */
  introduce(
    session: { sessionId: string; boot: string },
    members: readonly {
      llmId: string;
      poolKey: string;
      slots: number;
      state: MemberPresence['state'];
      /** The server says that its session is to take nothing new. */
      isHeld?: boolean;
    }[],
  ): Promise<void>;
  /** Takes members out of their pools at once: they are announced no more, and may claim nothing for a while. */
  deny(sessionId: string, members: readonly { llmId: string; poolKey: string }[]): Promise<void>;
  /**
   * Who of a pool is held: these may claim nothing, and nobody else for that reason. It lasts for 15 s, and is said again until
   * it is over. @returns those of whom it was not known, and those who are free again.
   */
  keepHeld(
    poolKey: string,
    members: readonly { llmId: string; sessionId: string }[],
  ): Promise<{ llmId: string; sessionId: string }[]>;
  /** The same of one session's members, at once. */
  setHeld(
    sessionId: string,
    members: readonly { llmId: string; poolKey: string }[],
    isHeld: boolean,
  ): Promise<void>;
  /** Extends a lease. @returns who holds it; null when there is none. */
  extend(sessionId: string): Promise<Lease | null>;
  /** Who holds it, without a say in how long. */
  holder(sessionId: string): Promise<Lease | null>;
  /** Drops the lease, and the session's members from these pools: the session is gone at once. */
  drop(sessionId: string, poolKeys: readonly string[]): Promise<void>;
  /**
   * Does the process that holds this lease run: it (or the relay of its stream) listens on its control channel, and
   * it has given a sign of life within moments (over a relay: within half a lease)? A SIGKILLed one does not listen;
   * for one whose network was lost Redis may listen for minutes.
   */
  isConnected(sessionId: string, lease: Lease): Promise<boolean>;
  members(poolKey: string): Promise<PoolPresence>;
}
