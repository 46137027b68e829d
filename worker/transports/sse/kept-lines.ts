/** Beyond this much of an answer its lines are not kept, and a broken connection loses the claim. */
const KEPT_BYTES = 32 * 1024 * 1024;
/** So much may wait to be sent; then the backend is read no faster than the edge takes it. */
const MOST_WAITING = 512;
const BYTES_WAITING = 4 * 1024 * 1024;
const BYTES_TOGETHER = 64 * 1024;
const BEAT = '{"beat":true}\n';

/** The lines of one answer, kept so that they can be sent again from the first. */
export class KeptLines {
  #lines: string[] = [];
  #bytes = 0;
  /** How many of them were given to the connection of now. */
  #sent = 0;
  #sentBytes = 0;
  #whole = true;
  #complete = false;
  #released = false;
  #beat = false;
  #wake: () => void = () => undefined;
  readonly #waiting = new Set<() => void>();

  /** All lines since the first are here. */
  get areWhole(): boolean {
    return this.#whole;
  }

  /** The last line is among them. */
  get isComplete(): boolean {
    return this.#complete;
  }

  /** Resolves when there is room for more, or `release` was called. */
  async add(line: string): Promise<void> {
    if (this.#complete) return;
    this.#push(line);
    while (!this.#released && this.#isFull()) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  complete(last: string): void {
    if (this.#complete) return;
    this.#push(last);
    this.#complete = true;
    this.#wake();
  }

  /** @returns false when there is no last line, or it is that one already. */
  replaceLast(last: string): boolean {
    if (!this.#complete || !this.#whole || this.#lines.at(-1) === last) return false;
    this.#lines[this.#lines.length - 1] = last;
    return true;
  }

  /** A beat goes out as soon as nothing else does; it is not kept. */
  beat(): void {
    this.#beat = true;
    this.#wake();
  }

  /** Nobody waits for room from now on. */
  release(): void {
    this.#released = true;
    this.#makeRoom();
  }

  /**
   * Everything from the first line, for one connection: at once a beat, which opens the request, then the lines as
   * they come, those that wait together; ends after the last one, or when `signal` aborts. One reader at a time.
   * @param flows is told each time the connection asks for more after its first piece.
   */
  async *from(signal: AbortSignal, flows: () => void): AsyncGenerator<string, void, undefined> {
    const stop = (): void => this.#wake();
    signal.addEventListener('abort', stop, { once: true });
    this.#sent = 0;
    this.#sentBytes = 0;
    try {
      yield BEAT;
      while (!signal.aborted) {
        flows();
        const piece = this.#next();
        if (piece !== null) yield piece;
        else if (this.#complete) return;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  #next(): string | null {
    if (this.#sent === this.#lines.length) {
      if (!this.#beat || this.#complete) return null;
      this.#beat = false;
      return BEAT;
    }
    this.#beat = false;
    const from = this.#sent;
    let bytes = 0;
    while (this.#sent < this.#lines.length && bytes < BYTES_TOGETHER) {
      bytes += this.#lines[this.#sent]?.length ?? 0;
      this.#sent += 1;
    }
    const piece = this.#lines.slice(from, this.#sent).join('');
    this.#sentBytes += bytes;
    if (!this.#whole) this.#forget();
    this.#makeRoom();
    return piece;
  }

  #push(line: string): void {
    this.#lines.push(line);
    this.#bytes += line.length;
    if (this.#bytes > KEPT_BYTES && this.#whole && !this.#isOneLine()) this.#whole = false;
    this.#wake();
  }

  /** An answer in one piece is kept whatever its size: it was held in memory anyway. */
  #isOneLine(): boolean {
    return this.#lines.length === 1;
  }

  #forget(): void {
    this.#lines.splice(0, this.#sent);
    this.#bytes -= this.#sentBytes;
    this.#sent = 0;
    this.#sentBytes = 0;
  }

  #isFull(): boolean {
    return this.#lines.length - this.#sent >= MOST_WAITING || this.#bytes - this.#sentBytes > BYTES_WAITING;
  }

  #makeRoom(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
