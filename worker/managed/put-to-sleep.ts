import { wakeBackOffMs } from '../../core/member/wake.ts';
import { anySignal } from '../../core/runtime/any-signal.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Kept, Keeper, Uses } from '../backends/kept.ts';
import type { SleepEntry, Wake } from '../sources/config-schema.ts';
import { carryOut, type RecipeDeps } from '../wake/recipe.ts';

interface PutToSleepDeps extends RecipeDeps {
  /** One of its llms, for the log. */
  name: string;
  sleep: SleepEntry;
  /** The recipe that gets it up again. */
  wake: Wake;
  idleMs: number;
  uses: Uses;
  clock: Clock;
  log: Log;
}

const LOOK_MS = 500;

/** A backend that runs by itself, and is put to sleep by a recipe when nobody has called it for a while. */
export class PutToSleep implements Kept {
  readonly isEager = false;
  readonly status = null;
  readonly #deps: PutToSleepDeps;
  readonly #over = new AbortController();
  #keeper: Keeper | undefined;
  #sleeps = false;
  /** When it was woken last: by the clock of the process, as `uses.lastAt`. */
  #wokenAt = -Infinity;
  #going: Promise<void> | undefined;
  #failures = 0;
  #notBefore = -Infinity;
  #look: NodeJS.Timeout | undefined;

  constructor(deps: PutToSleepDeps) {
    this.#deps = deps;
  }

  get uses(): Uses {
    return this.#deps.uses;
  }

  get wakesBy(): Wake {
    return this.#deps.wake;
  }

  get isUp(): boolean {
    return !this.#sleeps;
  }

  get why(): string | null {
    return this.#sleeps
      ? 'Its worker put it to sleep as nobody called it, and wakes it for the next call.'
      : null;
  }

  keptBy(keeper: Keeper): void {
    this.#keeper = keeper;
    this.#look = setInterval(() => this.#lookAfter(), LOOK_MS);
    this.#look.unref();
  }

  /** One that is just being put to sleep is woken when that is done. */
  async wake(signal: AbortSignal): Promise<string | null> {
    await this.#going;
    const why = await carryOut(this.#deps.wake, { ...this.#deps, kind: 'wake', signal });
    if (why === null) {
      this.#wokenAt = this.#deps.clock.elapsed();
      this.#sleeps = false;
    }
    return why;
  }

  silent(): void {
    // It went away by itself; what wakes it wakes it then too.
  }

  watchEnd(): () => Promise<string | null> {
    return () => Promise.resolve(null);
  }

  async stop(): Promise<void> {
    clearInterval(this.#look);
    this.#over.abort();
    await this.#going;
  }

  #lookAfter(): void {
    const { uses, clock, idleMs, wake } = this.#deps;
    const now = clock.elapsed();
    if (this.#sleeps || this.#going || now < this.#notBefore) return;
    // Who had it woken waits elsewhere, and comes when it answers: it is given that long, however long ago its last call was.
    const isCalled = uses.lastAt > this.#wokenAt;
    const [since, quietMs] = isCalled
      ? [uses.lastAt, idleMs]
      : [this.#wokenAt, Math.max(idleMs, wake.maxWaitSeconds * 1_000)];
    if (now - since > quietMs) this.#going = this.#putToSleep().finally(() => (this.#going = undefined));
  }

  /** It takes nothing from the first moment on. Nobody uses it then: a use that runs, or waits, makes it none that is idle. */
  async #putToSleep(): Promise<void> {
    const { name, sleep, clock, log } = this.#deps;
    this.#sleeps = true;
    this.#keeper?.onGone();
    const limit = AbortSignal.timeout(sleep.maxWaitSeconds * 1_000);
    const signal = anySignal([this.#over.signal, limit]);
    const why = await carryOut(sleep, { ...this.#deps, kind: 'sleep', signal });
    if (why === null) {
      this.#failures = 0;
      log.info({ llm: name }, 'a backend was put to sleep: nobody calls it');
      this.#keeper?.onChanged();
      return;
    }
    if (this.#over.signal.aborted) return;
    this.#failures += 1;
    this.#notBefore = clock.elapsed() + Math.max(this.#deps.idleMs, wakeBackOffMs(this.#failures + 1));
    this.#sleeps = false; // it answers still, as the next look at it tells
    log.warn({ llm: name, why }, 'a backend could not be put to sleep');
  }
}
