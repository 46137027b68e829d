import { holdWhile } from '../../core/queue/live/wake.ts';
import type { Frame } from '../../core/member/protocol.ts';
import type { WakeResult } from '../../core/member/wake.ts';
import type { RelayDeps } from './relay-deps.ts';

/** A recipe runs for an hour at most (`maxWaitSeconds`), and a worker that never answers holds the llm no longer. */
const LONGEST_MS = 3_700_000;
/**
 * A word on how it went can be lost, on a connection that breaks, and all callers would wait for an hour. A worker that still
 * runs the recipe passes the question over; one that has ended says so again.
 */
const AGAIN_MS = 5_000;

/** Wakes the backends of one session: the frame goes down, how it went comes back over any edge. */
export class RelayWakes {
  readonly #deps: RelayDeps;
  readonly #by: string;
  readonly #send: (frame: Frame) => boolean;
  readonly #pending = new Map<string, (result: WakeResult) => void>();

  constructor(deps: RelayDeps, { by, send }: { by: string; send: (frame: Frame) => boolean }) {
    this.#deps = deps;
    this.#by = by;
    this.#send = send;
  }

  /** Asks the worker, unless it is being asked, here or elsewhere. */
  wake(llmId: string, llmName: string): void {
    if (this.#pending.has(llmId)) return;
    const { promise, settle } = this.#ask(llmId);
    const frame: Frame = { kind: 'wake', wakeId: llmId, llmName };
    let asking: NodeJS.Timeout | undefined;
    void holdWhile(this.#deps, { llmId, by: this.#by }, () => {
      if (!this.#send(frame))
        settle({ ok: false, message: 'The worker was lost before it could be asked to wake its backend.' });
      asking = setInterval(() => this.#send(frame), AGAIN_MS);
      return promise;
    }).finally(() => {
      clearInterval(asking);
      settle({ ok: true, ms: 0 });
    });
  }

  /** @param message why it did not work; undefined when it did. */
  woken(llmId: string, message: string | undefined): void {
    this.#pending.get(llmId)?.(message === undefined ? { ok: true, ms: 0 } : { ok: false, message });
  }

  /** The session has left us: nobody knows how its wakes go, so they are free to be asked for again. */
  stop(): void {
    for (const settle of [...this.#pending.values()]) settle({ ok: true, ms: 0 });
  }

  #ask(llmId: string): { promise: Promise<WakeResult>; settle: (result: WakeResult) => void } {
    let resolve: (result: WakeResult) => void = () => undefined;
    const promise = new Promise<WakeResult>((r) => (resolve = r));
    const late = setTimeout(
      () => settle({ ok: false, message: 'The worker did not say how it went.' }),
      LONGEST_MS,
    );
    const settle = (result: WakeResult): void => {
      clearTimeout(late);
      if (this.#pending.get(llmId) === settle) this.#pending.delete(llmId);
      resolve(result);
    };
    this.#pending.set(llmId, settle);
    return { promise, settle };
  }
}
