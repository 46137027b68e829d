import { MOST_SUBSCRIBED } from '../../../core/mcp/offers.ts';
import { messageOf } from '../../../core/errors.ts';
import { pause, type Clock } from '../../../core/runtime/clock.ts';
import type { Log } from '../../../core/runtime/log.ts';
import type { Answered, Peer } from '../child.ts';

/**
 * Says which resources of a server are others now. @returns of which somebody wants to hear; null: nobody could be asked, so it is said again.
 * Must not throw.
 */
export type ResourcesTold = (updated: readonly string[]) => Promise<readonly string[] | null>;

export interface WatchedResourcesDeps {
  server: string;
  say: ResourcesTold;
  /** Aborts when the server is stopped. */
  over: AbortSignal;
  clock: Clock;
  log: Log;
}

/** What changes again and again is told no more often. */
const EVERY_MS = 250;
const AGAIN_MS = 5_000;
/** So often it is asked whether anybody wants to hear still. */
const LOOK_MS = 60_000;
const ASK_WITHIN_MS = 30_000;
/** It goes on to be asked for a while: a Redis that was lost knows of nobody until each edge has said again what it hears of. */
const LINGER_MS = 150_000;

const has = (capabilities: unknown, name: string): unknown =>
  typeof capabilities === 'object' && capabilities !== null
    ? (capabilities as Record<string, unknown>)[name]
    : undefined;

/** Whether a server tells of its resources one by one, by what it says that it can do. */
const tellsOfEach = (capabilities: object): boolean =>
  has(has(capabilities, 'resources'), 'subscribe') === true;

const refused = (message: string): Answered => ({ error: { code: -32601, message } });

/**
 * Which resources of one server somebody wants to hear of. Its process is asked to tell of each when somebody subscribes; one that
 * is begun anew is asked again, and whoever hears is told that each may be another. Who wants to hear is known at the edges: what
 * nobody has wanted for the time of a lease is given up at the next look.
 */
export class WatchedResources {
  readonly #deps: WatchedResourcesDeps;
  /** By URI: how many looks had begun when it was asked for. One that had begun before says nothing of it. */
  readonly #asked = new Map<string, number>();
  readonly #updated = new Set<string>();
  #looks = 0;
  #lookedAt = 0;
  #gaveUpAt = -LINGER_MS;
  #isDue = false;
  #isNew = false;
  #peer: Peer | undefined;
  #saying = false;

  constructor(deps: WatchedResourcesDeps) {
    this.#deps = deps;
  }

  /** Its process tells of some, or did until a moment ago. */
  get areWanted(): boolean {
    return this.#asked.size > 0 || this.#now - this.#gaveUpAt < LINGER_MS;
  }

  /** Whether what `peer` says of a resource is wanted; it is told as the resource that was asked for, which may be one above it. */
  heard(peer: Peer, uri: string): void {
    if (peer !== this.#peer) return;
    for (const one of this.#asked.keys()) if (uri === one || isBelow(one, uri)) this.#updated.add(one);
    if (this.#updated.size > 0) this.#kick();
  }

  /** A new process is there, and tells of nothing yet. */
  begun(peer: Peer, capabilities: object): void {
    this.#peer = tellsOfEach(capabilities) && peer.tells ? peer : undefined;
    if (!this.#peer) return this.#asked.clear();
    this.#isNew = this.#isDue = true;
    this.#kick();
  }

  /** Asks its process to tell of one. @throws ChildFailure. */
  async subscribe(
    peer: Peer,
    { uri, ...how }: { uri: string } & Parameters<Peer['request']>[2],
  ): Promise<Answered> {
    if (peer !== this.#peer) return refused('It does not tell of changes of a resource.');
    if (!this.#asked.has(uri) && this.#asked.size >= MOST_SUBSCRIBED.server)
      return refused(
        `It tells of ${String(MOST_SUBSCRIBED.server)} resources already, the most that it may.`,
      );
    let isAsked = this.#asked.has(uri);
    // Before it is: a look that had begun by now may know of nobody who wants it, and would end it.
    this.#asked.set(uri, this.#looks);
    try {
      const answer = await peer.request('resources/subscribe', { uri }, how);
      if (peer !== this.#peer) return refused('It was begun anew meanwhile; subscribe again.');
      isAsked ||= 'result' in answer;
      return answer;
    } finally {
      if (!isAsked && peer === this.#peer) this.#asked.delete(uri);
    }
  }

  /** To be called every few seconds. */
  lookAfter(): void {
    if (!this.areWanted || this.#now - this.#lookedAt < LOOK_MS) return;
    this.#isDue = true;
    this.#kick();
  }

  get #now(): number {
    return this.#deps.clock.elapsed();
  }

  #kick(): void {
    if (this.#saying) return;
    this.#saying = true;
    void this.#say().finally(() => (this.#saying = false));
  }

  async #say(): Promise<void> {
    const { over, say, clock } = this.#deps;
    while (!over.aborted && (this.#isDue || this.#updated.size > 0)) {
      const updated = [...this.#updated];
      this.#updated.clear();
      this.#isDue = false;
      this.#lookedAt = this.#now;
      const look = ++this.#looks;
      const wanted = await say(updated);
      if (wanted !== null) await this.#follow(wanted, look);
      else {
        updated.forEach((uri) => this.#updated.add(uri));
        this.#isDue = true;
      }
      await pause(wanted === null ? AGAIN_MS * (0.5 + clock.random() / 2) : EVERY_MS, over);
    }
  }

  /** Its process tells of what is wanted, and of nothing else. */
  async #follow(wanted: readonly string[], look: number): Promise<void> {
    const isWanted = new Set(wanted);
    for (const [uri, since] of [...this.#asked])
      if (!isWanted.has(uri) && since < look) {
        this.#asked.delete(uri);
        this.#gaveUpAt = this.#now;
        void this.#ask('resources/unsubscribe', uri);
      }
    const isNew = this.#isNew;
    this.#isNew = false;
    for (const uri of wanted.slice(0, MOST_SUBSCRIBED.server)) {
      if (!isNew && this.#asked.has(uri)) continue;
      if (await this.#ask('resources/subscribe', uri)) {
        this.#asked.set(uri, look);
        // What has become of it meanwhile nobody has seen.
        this.#updated.add(uri);
      } else this.#asked.delete(uri);
    }
  }

  async #ask(method: 'resources/subscribe' | 'resources/unsubscribe', uri: string): Promise<boolean> {
    const { over, log, server } = this.#deps;
    try {
      const how = { withinMs: ASK_WITHIN_MS, signal: over };
      const answer = await this.#peer?.request(method, { uri }, how);
      return answer !== undefined && 'result' in answer;
    } catch (thrown) {
      log.debug({ server, why: messageOf(thrown) }, 'an MCP server could not be asked to tell of a resource');
      return false;
    }
  }
}

/** Servers may tell of a part of what was asked for. */
const isBelow = (uri: string, part: string): boolean => part.startsWith(uri.endsWith('/') ? uri : `${uri}/`);
