/**
 * How many tasks a backend is given at once, counted once whatever llms and queues it serves (I10 of docs/reliability.md). A worker
 * counts its own, the relay those of the workers whose streams it holds.
 */
export class Slots {
  #size: number;
  #taken = 0;
  readonly #waiting = new Set<() => void>();

  constructor(size: number) {
    this.#size = size;
  }

  get size(): number {
    return this.#size;
  }

  get taken(): number {
    return this.#taken;
  }

  isFree(): boolean {
    return this.#taken < this.#size;
  }

  /** Another number from now on; what is taken above it stays taken until it is given back. */
  resize(size: number): void {
    this.#size = size;
    this.#serve();
  }

  /** Resolves with the way to give the slot back (it may be called twice); null when `signal` aborted first. */
  take(signal: AbortSignal): Promise<(() => void) | null> {
    if (signal.aborted) return Promise.resolve(null);
    if (this.isFree()) return Promise.resolve(this.occupy());
    return new Promise((resolve) => {
      const stop = (): void => {
        this.#waiting.delete(serve);
        resolve(null);
      };
      const serve = (): void => {
        this.#waiting.delete(serve);
        signal.removeEventListener('abort', stop);
        resolve(this.occupy());
      };
      this.#waiting.add(serve);
      signal.addEventListener('abort', stop, { once: true });
    });
  }

  /** A slot for what runs already, also where none is free. @returns the way to give it back; twice is once. */
  occupy(): () => void {
    this.#taken += 1;
    let given = false;
    return () => {
      if (given) return;
      given = true;
      this.#taken -= 1;
      this.#serve();
    };
  }

  #serve(): void {
    for (const next of this.#waiting) {
      if (!this.isFree()) return;
      next();
    }
  }
}

/** Of each slot group of a session: what its worker calls them is its own, and may be another each time. */
export class SlotGroups {
  readonly #slots = new Map<string, Slots>();

  get size(): number {
    return this.#slots.size;
  }

  of(group: string): Slots {
    const slots = this.#slots.get(group) ?? new Slots(1);
    this.#slots.set(group, slots);
    return slots;
  }

  /** Forgets the others, but for those of which something runs still. */
  keepOnly(groups: ReadonlySet<string>): void {
    for (const [group, { taken }] of this.#slots)
      if (taken === 0 && !groups.has(group)) this.#slots.delete(group);
  }
}
