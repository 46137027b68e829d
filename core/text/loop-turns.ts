/**
 * How long heavy work may hold one turn of the event loop, all owners together; a slice of it takes less. A call takes a
 * dozen turns on its way, so this is what each of them waits for: at two milliseconds somebody's bodies doubled it.
 */
const TURN_MS = 1;

type Go = () => void;

/**
 * Turns of the event loop, for work that is done in slices. In each turn a few slices are done, of owners by rotation,
 * and then whatever has come over sockets meanwhile: so a request waits for moments at each of its steps, however much
 * work somebody else has brought, and however many others.
 */
class LoopTurns {
  /** Who waits, in the order in which they are served next. */
  readonly #waiting = new Map<string, Go[]>();
  #running = false;

  next(owner: string): Promise<void> {
    return new Promise((resolve) => {
      const ofOwner = this.#waiting.get(owner);
      if (ofOwner) ofOwner.push(resolve);
      else this.#waiting.set(owner, [resolve]);
      if (this.#running) return;
      this.#running = true;
      setImmediate(() => this.#serve(performance.now()));
    });
  }

  #serve(began: number): void {
    const [first] = this.#waiting;
    if (!first) {
      this.#running = false;
      return;
    }
    const [owner, ofOwner] = first;
    const go = ofOwner.shift();
    this.#waiting.delete(owner);
    if (ofOwner.length > 0) this.#waiting.set(owner, ofOwner);
    go?.();
    // Behind the slice, which is what waits for `go`.
    queueMicrotask(() => {
      if (performance.now() - began < TURN_MS) this.#serve(began);
      else setImmediate(() => this.#serve(performance.now()));
    });
  }
}

/** A process has one event loop, so there is one of these. */
const turns = new LoopTurns();

/** Resolves when it is this owner's turn to do a slice of work. */
export const loopTurn = (owner: string): Promise<void> => turns.next(owner);
