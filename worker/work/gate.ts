import { shownInLine } from '../../core/names.ts';
import { storableSentence } from '../../core/text/storable.ts';
import type { BackendState, GateState } from '../../core/member/member-state.ts';
import { Switch } from '../../core/member/switch.ts';
import { Rest, type RestDeps } from './rest.ts';

const LONGEST_TROUBLE = 500;

/**
 * Whether one member takes tasks now: the one answer for every transport. Closed while it rests, is down, asleep,
 * paused, or kept for its owner; each of these is begun and ended by itself, and the gate opens when none of them is left.
 * Whoever opened the provider made the gate, and ends it.
 */
export class Gate {
  readonly #rest: Rest;
  readonly #clock: RestDeps['clock'];
  readonly #listeners = new Set<(state: GateState) => void>();
  readonly #switch = new Switch(true);
  #standing: BackendState = 'serving';
  #paused = false;
  #reserved: string | null = null;
  #trouble: string | null = null;
  /** Few: they are our own sentences. */
  readonly #remarks = new Set<string>();
  /** What listeners were told last. */
  #lastChange: { state: GateState; until: number } = { state: 'serving', until: -Infinity };

  constructor(deps: RestDeps) {
    this.#clock = deps.clock;
    this.#rest = new Rest({ ...deps, onChange: () => this.#changed() });
  }

  get state(): GateState {
    if (this.#paused) return 'paused';
    if (this.#reserved !== null) return 'quiet';
    if (this.#standing !== 'serving') return this.#standing;
    if (this.#rest.isDown()) return 'down';
    return this.#rest.isOver() ? 'serving' : 'resting';
  }

  /** What was last said of the backend by whoever watches it; a rest and a pause do not show in it. */
  get standing(): BackendState {
    return this.#standing;
  }

  /** Milliseconds that it rests yet, at least; undefined unless it does. A duration, as its reader has another clock. */
  get restsMs(): number | undefined {
    const leftMs = Math.ceil(this.#rest.until - this.#clock.elapsed());
    return this.state === 'resting' && leftMs > 0 ? leftMs : undefined;
  }

  isOpen(): boolean {
    return this.state === 'serving';
  }

  /** Resolves when the member may take tasks, or `signal` aborts. */
  untilOpen(signal: AbortSignal): Promise<void> {
    return this.#switch.untilOpen(signal);
  }

  /** The backend has failed a task: the member rests. @param askedMs what the backend asked for (Retry-After). */
  failed(code: string, askedMs = 0): void {
    this.#rest.begin(code, askedMs);
  }

  /**
   * What its owner has configured (model, key, parameters, address) is refused by the backend: it rests, and
   * `trouble` says why until a task is answered.
   */
  misconfigured(code: string, why: string): void {
    this.#setTrouble(why);
    this.#rest.begin(code);
  }

  /** The backend has answered a task: the next rest is a short one. */
  worked(): void {
    this.#rest.worked();
    this.#setTrouble(null);
  }

  /** The backend no longer offers the model. It is not taken for broken: some answer for more than they list. */
  unlisted(why: string): void {
    this.#setTrouble(why);
  }

  /** The backend offers the model again. */
  relisted(): void {
    this.#setTrouble(null);
  }

  /** Why its owner must mend what is configured, as a sentence; null: nothing is known to be wrong. */
  get trouble(): string | null {
    return this.#trouble;
  }

  /** Whether this was not said of its backend before. */
  isNews(remark: string): boolean {
    if (this.#remarks.has(remark)) return false;
    this.#remarks.add(remark);
    return true;
  }

  /** How the backend is, says whoever watches it. Of one that is back, nobody waits any longer to see it answer. */
  stand(standing: BackendState): void {
    this.#standing = standing;
    if (standing === 'serving') this.#rest.answered();
    this.#changed();
  }

  /** Why its owner keeps it for themselves, as a sentence; null: they do not. */
  get reserved(): string | null {
    return this.#reserved;
  }

  /** What runs goes on. */
  reserve(why: string | null): void {
    this.#reserved = why;
    this.#changed();
  }

  pause(): void {
    this.#paused = true;
    this.#changed();
  }

  resume(): void {
    this.#paused = false;
    this.#changed();
  }

  /** Is told each time the state has changed, or a rest has become longer; must not throw. @returns the way to stop listening. */
  onChange(listener: (state: GateState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** No timer of it is left. */
  end(): void {
    this.#rest.end();
  }

  /** It may quote the backend, and goes to the edge, which refuses what cannot be kept. */
  #setTrouble(trouble: string | null): void {
    this.#trouble = trouble === null ? null : storableSentence(shownInLine(trouble), LONGEST_TROUBLE);
  }

  #changed(): void {
    const { state } = this;
    const until = state === 'resting' ? this.#rest.until : -Infinity;
    if (state === this.#lastChange.state && until === this.#lastChange.until) return;
    this.#lastChange = { state, until };
    this.#switch.set(this.isOpen());
    for (const listener of [...this.#listeners]) listener(state);
  }
}
