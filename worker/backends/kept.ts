import type { Clock } from '../../core/runtime/clock.ts';
import type { ManagedStatus } from '../local/protocol.ts';
import type { Sleeper } from '../wake/wake-runner.ts';
import { failed } from '../providers/failed.ts';
import type { MemberCall, Reply } from '../providers/provider.ts';
import type { WakeResult } from '../../core/member/wake.ts';

/** Who runs at a backend now, and when somebody last did: all its llms together. */
export class Uses {
  readonly #clock: Clock;
  #running = 0;
  #waiting = 0;
  #lastAt: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastAt = clock.elapsed();
  }

  get running(): number {
    return this.#running;
  }

  /** Calls that came while it slept, and wait for it. */
  get waiting(): number {
    return this.#waiting;
  }

  /** By the clock's `elapsed()`; of one that is used now, this moment. */
  get lastAt(): number {
    return this.#running + this.#waiting > 0 ? this.#clock.elapsed() : this.#lastAt;
  }

  async wait<T>(work: Promise<T>): Promise<T> {
    this.#waiting += 1;
    return await work.finally(() => (this.#waiting -= 1));
  }

  /** @returns the way to say that it is over. */
  begin(): () => void {
    this.#running += 1;
    return () => {
      this.#running -= 1;
      this.#lastAt = this.#clock.elapsed();
    };
  }
}

/** Who keeps a backend, and is told of it. */
export interface Keeper {
  /** It serves nothing from now on. */
  onGone(): void;
  /** What is to be said of it is another thing now. */
  onChanged(): void;
  /** Has it started, as a wake is: whoever calls meanwhile waits for the same start. */
  begin(): void;
}

/** A backend that its worker puts to sleep, or starts and stops. */
export interface Kept {
  readonly uses: Uses;
  /** Where this is false it is not taken for awake, whoever answers at its address. */
  readonly isUp: boolean;
  /** Why it takes nothing now, as a sentence for everybody; null while it is up. */
  readonly why: string | null;
  readonly wakesBy: Sleeper['wake'];
  /** Of one that the worker starts itself. */
  readonly status: ManagedStatus | null;
  /** Whether it is to run from the beginning. */
  readonly isEager: boolean;
  keptBy(keeper: Keeper): void;
  /** Gets it up; one call at a time. @returns why that did not work, as a sentence that may be shown; null when it did. */
  wake(signal: AbortSignal): Promise<string | null>;
  /** It has not answered for a while, although it is up. */
  silent(): void;
  /** A call begins. @returns the way to learn how its process ended meanwhile: null when it has not. */
  watchEnd(taskId: string): () => Promise<string | null>;
  /** Ends what it runs, and leaves alone what it does not. */
  stop(): Promise<void>;
}

/** It may be put to sleep again before who waited for it begins. */
const TRIES = 3;

/**
 * A member of a kept backend. What comes while that sleeps wakes it and waits: a claim that was under way when it was put to
 * sleep is no failure of its. Neither is one whose backend ended under it: it is tried again, as one that is not ready yet.
 */
export function keptMember(
  { kept, isAsleep, wake }: { kept: Kept; isAsleep: () => boolean; wake: () => Promise<WakeResult> },
  forward: (call: MemberCall) => AsyncIterable<Reply>,
): (call: MemberCall) => AsyncIterable<Reply> {
  const isUp = (): boolean => kept.isUp && !isAsleep();
  return async function* (call): AsyncGenerator<Reply, void, undefined> {
    for (let tried = 0; !isUp() && tried < TRIES; tried++) {
      const woken = await kept.uses.wait(Promise.race([wake(), aborted(call.signal)]));
      if (!woken) return; // nobody waits for it any more; the wake goes on for others
      if (!woken.ok) return yield failed('backend_not_ready', woken.message, { blame: 'later' });
    }
    if (!isUp()) return yield failed('backend_not_ready', kept.why ?? undefined, { blame: 'later' });
    // From the look at it up to here nothing else happens: what is used is not put to sleep.
    const over = kept.uses.begin();
    try {
      const endOf = kept.watchEnd(call.taskId);
      for await (const reply of forward(call)) {
        if (reply.kind !== 'failed' || !reply.retryable || call.signal.aborted) yield reply;
        else yield asNotReady(reply, await endOf());
      }
    } finally {
      over();
    }
  };
}

export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function asNotReady(reply: Extract<Reply, { kind: 'failed' }>, ended: string | null): Reply {
  if (ended === null) return reply;
  return failed('backend_not_ready', `Its backend ended while it answered. ${ended}`, { blame: 'later' });
}
