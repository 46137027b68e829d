import { messageOf } from '../../core/errors.ts';
import { SHARE_MS, type Share, type Shares } from '../../core/queue/live/shares.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';

/** Of one owner at this edge. */
export interface Wanted {
  /** What is open. */
  has: number;
  /** With what waits. */
  wants: number;
}

export interface SharedRoomDeps {
  shares: Shares;
  /** This edge's name among them. */
  edge: string;
  clock: Clock;
  log: Log;
}

export interface SharedRoomLimits {
  what: Share['what'];
  /** Of one owner, at all edges together. */
  most: number;
  /** How often it is said again; a third of what it lasts, unless told. */
  againMs?: number;
}

interface Owner extends Wanted {
  may: number;
  others: number;
  /** There was no room for all of it when that was asked last. */
  isShort: boolean;
  isAway: boolean;
  isAsking: boolean;
  timer: NodeJS.Timeout | undefined;
  /** When the timer goes off, by the clock's `elapsed()`. */
  dueAt: number;
}

/** How often who waits looks whether another edge has given room back. */
const LOOK_MS = 250;
/** What was given back is said a moment later: the next call of a row finds its room still there. */
const LINGER_MS = 100;
/** Redis is away, and asked again. */
const AWAY_MS = 1_000;

/**
 * How much of something each owner may have here, of what they may have at all edges together. Room is asked for as it is wanted, one
 * question at a time of each owner, and given back when it is not. Where Redis is away this edge counts its own alone.
 */
export class SharedRoom {
  readonly #deps: SharedRoomDeps;
  readonly #limits: Required<SharedRoomLimits>;
  /** Only of owners who have or want something, or did a moment ago. */
  readonly #owners = new Map<string, Owner>();
  #onRoom: () => void = () => undefined;

  constructor(deps: SharedRoomDeps, limits: SharedRoomLimits) {
    this.#deps = deps;
    this.#limits = { againMs: SHARE_MS / 3, ...limits };
  }

  /** @param onRoom is told when somebody may have more. */
  whenRoom(onRoom: () => void): void {
    this.#onRoom = onRoom;
  }

  may(owner: string): number {
    return this.#owners.get(owner)?.may ?? 0;
  }

  /** How much an owner has at other edges, as far as was heard when this edge asked last. */
  others(owner: string): number {
    return this.#owners.get(owner)?.others ?? 0;
  }

  /** Says how it is now. */
  want(owner: string, wanted: Wanted): void {
    let one = this.#owners.get(owner);
    if (!one) {
      if (wanted.wants === 0) return;
      const asked = { may: 0, others: 0, isShort: false, isAway: false, isAsking: false };
      one = { ...wanted, ...asked, timer: undefined, dueAt: Infinity };
      this.#owners.set(owner, one);
    }
    Object.assign(one, wanted);
    this.#next(owner, one);
  }

  #next(owner: string, one: Owner): void {
    if (one.isAsking) return;
    const { wants, may, isShort, isAway } = one;
    if (wants > may && !isShort) return void this.#ask(owner, one);
    const soonMs = isAway ? AWAY_MS : wants > may ? LOOK_MS : LINGER_MS;
    const afterMs = wants === may ? this.#limits.againMs : soonMs;
    const dueAt = this.#deps.clock.elapsed() + afterMs;
    if (one.dueAt <= dueAt) return;
    clearTimeout(one.timer);
    one.dueAt = dueAt;
    one.timer = setTimeout(() => void this.#ask(owner, one), afterMs).unref();
  }

  async #ask(owner: string, one: Owner): Promise<void> {
    const { shares, edge, log } = this.#deps;
    const { what, most } = this.#limits;
    clearTimeout(one.timer);
    Object.assign(one, { isAsking: true, dueAt: Infinity });
    const { has, wants } = one;
    // What is given back is nobody's here from now on.
    const before = Math.min(one.may, wants);
    one.may = before;
    try {
      // What it may until the answer is there, it has: more might be let in meanwhile than the answer leaves it.
      const holds = Math.max(has, before);
      const taken = await shares.take({ what, owner, edge }, { has: holds, wants, most });
      Object.assign(one, taken, { isAway: false });
    } catch (thrown) {
      log.debug({ why: messageOf(thrown) }, 'what is open is counted at this edge alone: Redis is away');
      Object.assign(one, { may: most, others: 0, isAway: true });
    }
    one.isAsking = false;
    one.isShort = one.may < wants;
    if (one.wants === 0 && wants === 0) return void this.#owners.delete(owner);
    if (one.may > before) this.#onRoom();
    this.#next(owner, one);
  }
}
