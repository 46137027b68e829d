import { messageOf } from '../../../core/errors.ts';
import type { Heartbeat } from '../../../core/member/protocol.ts';
import { pause, type Clock } from '../../../core/runtime/clock.ts';
import type { Log } from '../../../core/runtime/log.ts';
import type { EdgeClient } from '../../edge-client.ts';

export interface StateReportDeps {
  edge: EdgeClient;
  session: string;
  clock: Clock;
  log: Log;
  /** How the members are at the moment it is sent. */
  state: () => Omit<Heartbeat, 'providerSessionId'>;
  /** The edge does not know the session. */
  onGone: () => void;
}

const WITHIN_MS = 5_000;
const AGAIN_MS = 1_000;
const LONGEST_AGAIN_MS = 15_000;

/** Tells the edge how the members are, whenever that has changed: a heartbeat with a little more in it. */
export class StateReport {
  readonly #deps: StateReportDeps;
  readonly #stopping = new AbortController();
  #saying: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(deps: StateReportDeps) {
    this.#deps = deps;
  }

  /** Resolves when the edge has heard what is true now; never rejects, and tries until it has. */
  say(): Promise<void> {
    // One that is on its way may have left before the change; the one after it has not.
    if (!this.#saying) return (this.#saying = this.#say().finally(() => (this.#saying = undefined)));
    return (this.#next ??= this.#saying.then(() => {
      this.#next = undefined;
      return this.say();
    }));
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #say(): Promise<void> {
    const { edge, session, clock, log, state, onGone } = this.#deps;
    const { signal } = this.#stopping;
    for (let waitMs = AGAIN_MS; !signal.aborted; waitMs = Math.min(waitMs * 2, LONGEST_AGAIN_MS)) {
      try {
        const { status } = await edge.post(
          '_provider-heartbeat',
          { providerSessionId: session, ...state() },
          WITHIN_MS,
        );
        if (status === 404) onGone(); // and the hello after that asks for a report anyway
        if (status < 500 && status !== 429) return;
      } catch (thrown) {
        log.debug({ why: messageOf(thrown) }, 'the state of the members could not be told');
      }
      await pause(waitMs * (0.5 + clock.random() / 2), signal);
    }
  }
}
