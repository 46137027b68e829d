import { Blindness } from '../core/flow/alive/blindness.ts';
import type { QueueDoor } from '../core/queue/door.ts';
import type { Registry } from '../core/registry/registry.ts';
import type { Clock } from '../core/runtime/clock.ts';
import type { Log } from '../core/runtime/log.ts';

/** It brakes for seconds and once for each incident: who is dead stays dead, and their tasks wait for it. */
const times = { firstMs: 10_000, againMs: 3_000, stretchMs: 15_000, gapMs: 1_500 };
/** Without another mass of deaths for so long the next is a new one. */
const OVER_MS = 60_000;
/** How long over half of the workers may look dead before they are believed to be. */
const MASS_MS = 3_000;
const MANY = 3;
/** Sessions that are counted; more change no verdict. */
const MOST = 10_000;

export interface BrakeDeps {
  queue: Pick<QueueDoor, 'server' | 'generation' | 'steps'>;
  registry: Pick<Registry, 'sessions'>;
  config: { leaseMs: number };
  clock: Clock;
  log: Log;
}

/**
 * When what looks like death is more likely our own blindness: after this process's connection came (back), after Redis's clock was set,
 * after it was restarted or came back empty, and when over half of three or more sessions look dead at once. It holds for seconds
 * and once for each incident: who is dead stays dead, and their tasks wait for it.
 */
export class Brake {
  readonly #deps: BrakeDeps;
  #runId = '';
  readonly #blindness: Blindness;
  /** When over half were first seen dead; they were believed to be alive until `#massUntil`. */
  #massUntil = -Infinity;

  constructor(deps: BrakeDeps) {
    this.#deps = deps;
    const { queue, clock, log } = deps;
    const { onReady } = queue.server;
    this.#blindness = new Blindness({ onReady, steps: queue.steps, clock, log }, times);
  }

  /**
   * May these sessions be taken for dead? Not asked about those of which a newer boot is there.
   * @param claimants session ids, one for each claim.
   */
  async allows(claimants: readonly string[]): Promise<boolean> {
    const { queue } = this.#deps;
    const dead = new Set(claimants);
    if (dead.size === 0) return true;
    const [runId, isMarked] = await Promise.all([queue.server.runId(), queue.generation.isMarked()]);
    if (this.#runId !== '' && runId !== this.#runId) this.blind('Redis was restarted');
    this.#runId = runId;
    // Said at each look until the mark is there: that is one sign, not many.
    if (!isMarked && !this.#blindness.isNow) this.blind('Redis came back empty');
    if (this.#blindness.isNow) return false;
    return await this.#plausible(dead);
  }

  /** All of a small installation may die; over half of a larger one at once may be a fault between us and them. */
  async #plausible(dead: ReadonlySet<string>): Promise<boolean> {
    if (dead.size < MANY) return true;
    const { registry, config, clock, log } = this.#deps;
    const now = clock.elapsed();
    const began = now >= this.#massUntil + OVER_MS;
    if (!began) return now >= this.#massUntil;
    // This incident has held them up already.
    if (now < this.#blindness.until + MASS_MS) return true;
    const sessions = (await registry.sessions.seenWithin(config.leaseMs, MOST)).length;
    if (dead.size * 2 <= sessions) return true;
    this.#massUntil = now + MASS_MS;
    log.warn(
      { dead: dead.size, sessions, waitMs: MASS_MS },
      'over half of the workers look dead at once; waiting a moment',
    );
    return false;
  }

  /** A sign that we may be blind: nobody is taken for dead for a moment. */
  blind(why: string): void {
    this.#blindness.begin(why);
  }
}
