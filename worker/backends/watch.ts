import { messageOf } from '../../core/errors.ts';
import type { BackendState } from '../../core/member/member-state.ts';
import { anySignal } from '../../core/runtime/any-signal.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import { atMost, pause, type Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';

/** One published llm, as its backend is watched. */
export interface Watched {
  name: string;
  /** The same text for the same backend: it is asked once for all its llms. */
  backend: string;
  /** There is a recipe: silence is sleep. */
  canWake: boolean;
  isAvailable: (signal: AbortSignal) => Promise<boolean>;
  /** A text that changes when the models that the backend offers do; undefined when it cannot be asked now. */
  fingerprint: (signal: AbortSignal) => Promise<string | undefined>;
  /** Asks the backend what it can do; true when that is news. Cheap, and never by having it generate. */
  learn: (signal: AbortSignal) => Promise<boolean>;
  /** Finds out whether the backend still lists the model; false when it could not be asked. */
  learnListed: (signal: AbortSignal) => Promise<boolean>;
  /** Why its backend refuses what is configured; null: nothing is known to be wrong. */
  trouble: () => string | null;
  /** Whether it runs a task now: then its silence is work, and what becomes of the task tells more. */
  isBusy: () => boolean;
  /** Told of each change, at once: from here on it takes tasks, or none. */
  become: (state: BackendState) => void;
}

export interface WatchDeps {
  watched: readonly Watched[];
  /** Says the states, and what the backends can do now, to the edge. May be refused: it is asked again. */
  refresh: () => Promise<void>;
  everyMs?: number;
  bus: Bus;
  clock: Clock;
  log: Log;
}

const EVERY_MS = 5_000;
const WITHIN_MS = 3_000;
/** A long list of models over a slow line: it goes on beside later looks. */
const LEARN_MS = 60_000;
/** One look that fails may be a backend that was slow for a moment. */
const FAILURES = 2;

interface Seen {
  state: BackendState;
  /** It has answered once: only then is its silence news where it has no recipe (docs/spec.md §4). */
  answered: boolean;
  failures: number;
  /** When it was last asked what it can do; null: since it is back, it has not been. */
  fingerprint: string | null;
  /** What the edge was told of what is configured. */
  trouble: string | null;
  /** It is being asked just now. */
  learning: Promise<void> | undefined;
}

/**
 * Looks after the backends of this worker. Every 5 s each is asked whether it answers, so that an llm whose backend
 * went away is `hibernating`, or without a recipe `inactive: backend_down`, within seconds, and back as soon as it
 * answers. Whose models have changed, or what is wrong with its configuration, is published anew, at most once a look.
 */
export class BackendWatch implements Service {
  readonly name = 'watch of the backends';
  readonly #deps: WatchDeps;
  readonly #seen = new Map<Watched, Seen>();
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;
  #saying: Promise<void> = Promise.resolve();
  /** The edge has not heard of something yet. */
  #unsaid = false;

  constructor(deps: WatchDeps) {
    this.#deps = deps;
    for (const watched of deps.watched)
      this.#seen.set(watched, {
        state: 'serving',
        answered: false,
        failures: 0,
        fingerprint: null,
        trouble: null,
        learning: undefined,
      });
  }

  /** Before publishing: who sleeps? The registration says it to the edge. */
  async first(): Promise<void> {
    await this.#look(1);
    this.#unsaid = false;
  }

  start(): void {
    this.#loop ??= this.#turnUntilStopped();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await this.#saying;
  }

  /** A backend has just answered: its llms serve at once, and the edge hears of it soon. */
  awake(backend: string): void {
    for (const [watched, seen] of this.#seen) if (watched.backend === backend) this.#answered(watched, seen);
    void this.#say();
  }

  /** Its worker has put it to sleep, or it has ended: its llms take nothing from this moment on. */
  gone(backend: string): void {
    for (const [watched, seen] of this.#seen)
      if (watched.backend === backend) this.#become(watched, seen, 'asleep');
    void this.#say();
  }

  /** Something that is told of the llms beside their states is another thing now. */
  changed(): void {
    this.#unsaid = true;
    void this.#say();
  }

  /** A task has failed, and its backend does not answer: that is not waited for until the next turn. */
  async suspect(backend: string): Promise<void> {
    await this.#lookAt(backend, 1);
    await this.#say();
  }

  async #turnUntilStopped(): Promise<void> {
    const { signal } = this.#stopping;
    for (;;) {
      await pause(this.#deps.everyMs ?? EVERY_MS, signal);
      if (signal.aborted) return;
      await this.#look(FAILURES);
      await this.#say();
    }
  }

  async #look(failuresThatCount: number): Promise<void> {
    const backends = new Set([...this.#seen.keys()].map((watched) => watched.backend));
    await Promise.all([...backends].map((backend) => this.#lookAt(backend, failuresThatCount)));
  }

  async #lookAt(backend: string, failuresThatCount: number): Promise<void> {
    const members = [...this.#seen].filter(([watched]) => watched.backend === backend);
    // Each its own: a backend may have a hundred llms, and each listens.
    const within = (): AbortSignal => anySignal([this.#stopping.signal, AbortSignal.timeout(WITHIN_MS)]);
    // One llm's key may be wrong although the backend is well: then another one's tells.
    const [first, ...others] = members.map(([watched]) => watched);
    const answers =
      (await first?.isAvailable(within())) === true ||
      (await Promise.all(others.map((watched) => watched.isAvailable(within())))).some(Boolean);
    if (this.#stopping.signal.aborted) return;
    for (const [watched, seen] of members) {
      if (answers) {
        this.#answered(watched, seen);
        seen.learning ??= this.#learn(watched, seen).finally(() => (seen.learning = undefined));
        // Nobody's long list has the other backends wait for their look.
        await atMost(WITHIN_MS, seen.learning);
      } else if (!watched.isBusy()) this.#silent(watched, seen, failuresThatCount);
      const trouble = watched.trouble();
      if (trouble !== seen.trouble) this.#unsaid = true;
      seen.trouble = trouble;
    }
  }

  #answered(watched: Watched, seen: Seen): void {
    seen.answered = true;
    seen.failures = 0;
    this.#become(watched, seen, 'serving');
  }

  #silent(watched: Watched, seen: Seen, failuresThatCount: number): void {
    seen.failures += 1;
    if (seen.failures < failuresThatCount) return;
    if (watched.canWake) this.#become(watched, seen, 'asleep');
    else if (seen.answered) this.#become(watched, seen, 'down');
  }

  #become(watched: Watched, seen: Seen, state: BackendState): void {
    if (seen.state === state) return;
    seen.state = state;
    if (state !== 'serving') seen.fingerprint = null;
    this.#unsaid = true;
    watched.become(state);
    this.#deps.bus.emit('backend.changed', { llm: watched.name, is: state });
  }

  /** A backend that says nothing of its models is asked when it is new here, or back. Never rejects. */
  async #learn(watched: Watched, seen: Seen): Promise<void> {
    const signal = anySignal([this.#stopping.signal, AbortSignal.timeout(LEARN_MS)]);
    try {
      const fingerprint = (await watched.fingerprint(signal)) ?? seen.fingerprint ?? '';
      if (fingerprint === seen.fingerprint) return;
      const [isNews, heard] = await Promise.all([watched.learn(signal), watched.learnListed(signal)]);
      // What could not be asked is asked at the next look.
      seen.fingerprint = heard ? fingerprint : null;
      if (isNews) this.#unsaid = true;
    } catch (thrown) {
      this.#deps.log.debug(
        { llm: watched.name, why: messageOf(thrown) },
        'a backend could not be asked what it can do',
      );
    }
  }

  /** One after the other; what the edge did not take is said again at the next look. */
  #say(): Promise<void> {
    this.#saying = this.#saying.then(async () => {
      if (!this.#unsaid || this.#stopping.signal.aborted) return;
      this.#unsaid = false;
      try {
        await this.#deps.refresh();
      } catch (thrown) {
        this.#unsaid = true;
        this.#deps.log.warn(
          { why: messageOf(thrown) },
          'the edge did not hear of a change; it is told again',
        );
      }
    });
    return this.#saying;
  }
}
