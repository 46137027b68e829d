import { randomUUID } from 'node:crypto';
import { messageOf } from '../core/errors.ts';
import { LEADER, type Leases } from '../core/registry/database/leases.ts';
import type { Bus } from '../core/runtime/bus.ts';
import { pause, type Clock } from '../core/runtime/clock.ts';
import type { Log } from '../core/runtime/log.ts';
import { isHeld } from '../core/trouble.ts';
import type { Service } from '../core/runtime/process/service.ts';

export interface LeaderDeps {
  leases: Pick<Leases, 'tryHold' | 'release'>;
  /** Life of the lease; it is renewed four times as often. */
  leaderMs: number;
  /** Resolves while this process could do its duties; one that could not for long lets another lead. */
  fit: () => Promise<unknown>;
  /** Runs while this process leads; must end soon after the signal aborts. */
  lead: (signal: AbortSignal) => Promise<void>;
  bus: Bus;
  clock: Clock;
  log: Log;
}

/**
 * One of any number of schedulers leads: who holds the row in `leases`, by the database's clock. A leader that
 * could not renew for three quarters of the lease's life stops its duties, before another may begin; one that
 * is not fit for as long gives the lease away. Every duty is a compare-and-set all the same: two leaders for a
 * moment do no harm.
 */
export class Leader implements Service {
  readonly name = 'leader';
  readonly #deps: LeaderDeps;
  readonly #holder = randomUUID();
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #leading: AbortController | undefined;
  #unfitSince: number | undefined;
  #duties: Promise<void> = Promise.resolve();

  constructor(deps: LeaderDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#loop = this.#renew();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await this.#yield();
  }

  async #renew(): Promise<void> {
    const { leaderMs, clock, log } = this.#deps;
    const patienceMs = leaderMs * 0.75;
    let heldAt = clock.elapsed();
    while (!this.#stopping.signal.aborted) {
      const asked = clock.elapsed();
      let turnMs = leaderMs / 4;
      // After a long stop of this process another may lead: nothing more is done before that is known.
      if (asked - heldAt > patienceMs) await this.#resign();
      this.#checkFit(asked);
      try {
        if (asked - (this.#unfitSince ?? asked) > patienceMs) await this.#yield();
        else if (await this.#deps.leases.tryHold(LEADER, this.#holder, leaderMs)) {
          heldAt = asked;
          this.#begin();
        } else await this.#resign();
      } catch (thrown) {
        // Whoever holds its row, to look at it say, keeps it from everybody: nobody else can lead meanwhile.
        if (isHeld(thrown)) heldAt = asked;
        log.debug({ why: messageOf(thrown) }, 'the lease could not be asked for');
        turnMs = leaderMs / 16;
      }
      if (clock.elapsed() - heldAt > patienceMs) await this.#resign();
      await pause(turnMs, this.#stopping.signal);
    }
  }

  #checkFit(asked: number): void {
    this.#deps.fit().then(
      () => (this.#unfitSince = undefined),
      (thrown: unknown) => {
        this.#unfitSince ??= asked;
        this.#deps.log.debug({ why: messageOf(thrown) }, 'the duties could not be done now');
      },
    );
  }

  /** Stops leading, so that another may begin at once. */
  async #yield(): Promise<void> {
    if (!this.#leading) return;
    await this.#resign();
    await this.#deps.leases.release(LEADER, this.#holder).catch((thrown: unknown) => {
      this.#deps.log.debug({ why: messageOf(thrown) }, 'the lease was not released; it lapses by itself');
    });
  }

  #begin(): void {
    if (this.#leading) return;
    const leading = new AbortController();
    this.#leading = leading;
    this.#deps.bus.emit('leader.changed', { holder: this.#holder, leading: true });
    this.#duties = this.#deps.lead(leading.signal).catch((thrown: unknown) => {
      this.#deps.log.error({ err: thrown }, 'the duties ended by themselves');
    });
  }

  async #resign(): Promise<void> {
    if (!this.#leading) return;
    this.#leading.abort();
    this.#leading = undefined;
    await this.#duties;
    this.#deps.bus.emit('leader.changed', { holder: this.#holder, leading: false });
  }
}
