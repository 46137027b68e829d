import { anySignal } from '../../core/runtime/any-signal.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import { pause, type Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import { wakeBackOffMs, wakeReason, type WakeResult } from '../../core/member/wake.ts';
import type { Wake } from '../sources/config-schema.ts';
import { carryOut, type RecipeDeps } from './recipe.ts';

/** A published llm whose backend may sleep. */
export interface Sleeper {
  name: string;
  /** The same text for the same backend. */
  backend: string;
  /** `managed`: the worker starts it itself. */
  wake: Wake | { type: 'managed'; maxWaitSeconds: number };
  /** Carries out what wakes it, in place of the recipe; as that does. */
  carryOut?: ((signal: AbortSignal) => Promise<string | null>) | undefined;
  isAsleep(): boolean;
  /** Bounded by the signal; never throws. */
  isAvailable: (signal: AbortSignal) => Promise<boolean>;
}

export interface WakeRunnerDeps extends RecipeDeps {
  sleepers: readonly Sleeper[];
  /** Told when a backend answers again, before anybody who waits for the wake is: its llms serve from here on. */
  onAwake: (backend: string) => void;
  bus: Bus;
  clock: Clock;
  log: Log;
}

const POLL_MS = 500;
/** A wake that fails so long after it might have been tried again is the first in a row. */
const ROW_MS = 300_000;
const POLL_WITHIN_MS = 3_000;

/**
 * Wakes backends with the recipes of this worker's own configuration. One run at a time for a backend and recipe,
 * whichever of its llms are asked for and however often: who comes later waits for the same run.
 */
export class WakeRunner {
  readonly #deps: WakeRunnerDeps;
  readonly #stopping = new AbortController();
  readonly #flights = new Map<string, Promise<WakeResult>>();
  /** Backends whose last wakes failed: how many in a row, and from when they may be tried again. */
  readonly #failed = new Map<string, { failures: number; notBefore: number; message: string }>();

  constructor(deps: WakeRunnerDeps) {
    this.#deps = deps;
  }

  /**
   * Never throws. One that serves is awake already; one without a recipe cannot be woken, whoever asks.
   * @param anyway also where it is left alone for a while because its last wakes failed.
   */
  async wake(llmName: string, anyway = false): Promise<WakeResult> {
    const sleeper = this.#deps.sleepers.find((s) => s.name === llmName);
    if (!sleeper) return { ok: false, message: 'Its worker has no recipe to wake it.' };
    if (!sleeper.isAsleep()) return { ok: true, ms: 0 };
    if (this.#stopping.signal.aborted) return { ok: false, message: 'Its worker stops.' };
    const key = `${sleeper.backend} ${JSON.stringify(sleeper.wake)}`;
    let flight = this.#flights.get(key);
    if (!flight) {
      const failed = this.#failed.get(key);
      const waitMs = (failed?.notBefore ?? 0) - this.#deps.clock.elapsed();
      if (failed && waitMs > 0 && !anyway) {
        const waitS = String(Math.ceil(waitMs / 1_000));
        return { ok: false, message: `${failed.message} It is tried again in ${waitS} s.` };
      }
      flight = this.#fly(sleeper)
        .then((result) => this.#remember(key, result))
        .finally(() => this.#flights.delete(key));
      this.#flights.set(key, flight);
    }
    return await flight;
  }

  #remember(key: string, result: WakeResult): WakeResult {
    if (result.ok) {
      this.#failed.delete(key);
      return result;
    }
    const now = this.#deps.clock.elapsed();
    const before = this.#failed.get(key);
    const isRow = before !== undefined && now - before.notBefore < ROW_MS;
    const failures = isRow ? before.failures + 1 : 1;
    const notBefore = now + wakeBackOffMs(failures);
    this.#failed.set(key, { failures, notBefore, message: result.message });
    return result;
  }

  /** Ends what runs; resolves when it has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#flights.values());
  }

  async #fly(sleeper: Sleeper): Promise<WakeResult> {
    const { bus, clock, log, onAwake } = this.#deps;
    const { name: llm, wake } = sleeper;
    const began = clock.elapsed();
    bus.emit('wake.started', { llm, recipe: wake.type });
    const why = await this.#run(sleeper).catch((thrown: unknown) => {
      log.error({ err: thrown }, 'a wake failed for a reason of ours');
      return 'Its worker could not run the recipe.';
    });
    const ms = Math.round(clock.elapsed() - began);
    if (why === null) onAwake(sleeper.backend);
    bus.emit('wake.finished', { llm, ok: why === null, ms });
    if (why === null) return { ok: true, ms };
    const message = wakeReason(why);
    log.warn({ llm, why: message }, 'a backend could not be woken');
    return { ok: false, message };
  }

  /** @returns why it does not answer; null when it does. */
  async #run(sleeper: Sleeper): Promise<string | null> {
    const { wake } = sleeper;
    const over = AbortSignal.timeout(wake.maxWaitSeconds * 1_000);
    const signal = anySignal([this.#stopping.signal, over]);
    // Somebody may have started it by hand meanwhile.
    if (await this.#answers(sleeper, signal)) return null;
    const failed = await this.#carryOut(sleeper, signal);
    if (failed !== null) return this.#stopping.signal.aborted ? 'Its worker stops.' : failed;
    // One that its worker starts has answered already: where it does so no more, its next start is another wake's.
    const until = sleeper.carryOut ? anySignal([signal, AbortSignal.timeout(POLL_WITHIN_MS)]) : signal;
    while (!until.aborted) {
      if (await this.#answers(sleeper, until)) return null;
      await pause(POLL_MS, until);
    }
    if (this.#stopping.signal.aborted) return 'Its worker stops.';
    if (sleeper.wake.type === 'managed') return 'It started, and answered no more.';
    return `The recipe was carried out, but the backend did not answer within ${wake.maxWaitSeconds} s.`;
  }

  async #carryOut({ wake, carryOut: own }: Sleeper, signal: AbortSignal): Promise<string | null> {
    if (own) return await own(signal);
    return wake.type === 'managed' ? null : await carryOut(wake, { ...this.#deps, kind: 'wake', signal });
  }

  async #answers({ isAvailable }: Sleeper, signal: AbortSignal): Promise<boolean> {
    return await isAvailable(anySignal([signal, AbortSignal.timeout(POLL_WITHIN_MS)]));
  }
}
