import { randomUUID } from 'node:crypto';
import { messageOf } from '../core/errors.ts';
import type { Leases } from '../core/registry/leases.ts';
import type { Bus } from '../core/runtime/bus.ts';
import { pause, type Clock } from '../core/runtime/clock.ts';
import type { Log } from '../core/runtime/log.ts';
import type { Service } from '../core/runtime/service.ts';

export interface LeaderDeps {
  leases: Leases;
  /** Life of the lease; it is renewed four times as often. */
  leaderMs: number;
  /** Runs while this process leads; must end soon after the signal aborts. */
  lead: (signal: AbortSignal) => Promise<void>;
  bus: Bus;
  clock: Clock;
  log: Log;
}

const LEASE = 'scheduler';

/**
 * One of any number of schedulers leads: who holds the row in `leases`, by the database's clock. A leader that
 * could not renew for three quarters of the lease's life stops its duties, before another may begin. Every
 * duty is a compare-and-set all the same: two leaders for a moment do no harm.
 */
export class Leader implements Service {
  readonly name = 'leader';
  readonly #deps: LeaderDeps;
  readonly #holder = randomUUID();
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #leading: AbortController | undefined;
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
    const led = this.#leading !== undefined;
    await this.#resign();
    if (!led) return;
    await this.#deps.leases.release(LEASE, this.#holder).catch((thrown: unknown) => {
      this.#deps.log.debug({ why: messageOf(thrown) }, 'the lease was not released; it lapses by itself');
    });
  }

  async #renew(): Promise<void> {
    const { leaderMs, clock, log } = this.#deps;
    let heldAt = clock.elapsed();
    while (!this.#stopping.signal.aborted) {
      const asked = clock.elapsed();
      try {
        const held = await this.#deps.leases.tryHold(LEASE, this.#holder, leaderMs);
        if (held) heldAt = asked;
        if (held) this.#begin();
        else await this.#resign();
      } catch (thrown) {
        log.debug({ why: messageOf(thrown) }, 'the lease could not be asked for');
      }
      if (clock.elapsed() - heldAt > leaderMs * 0.75) await this.#resign();
      await pause(leaderMs / 4, this.#stopping.signal);
    }
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
