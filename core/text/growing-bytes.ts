/** From here on memory is mapped, so that it grows in place and goes back to the system at once. */
const MAPPED_FROM_BYTES = 64 * 1024;
const LEAST_BYTES = 512;
const nothing = new Uint8Array(0);

/**
 * All of some bytes as UTF-8, whatever the pieces are that they come in; undefined where there are more than `most`, of which
 * no more is read. @throws what reading throws.
 */
export async function textWithin(
  bytes: AsyncIterable<Uint8Array>,
  most: number,
): Promise<string | undefined> {
  const all = new GrowingBytes(most);
  for await (const piece of bytes) if (!all.append(piece)) return undefined;
  return all.text();
}

/**
 * Bytes that arrive in pieces of any size, copied into one buffer: what is held is a little more than what arrived,
 * whatever form it came in. An array of the pieces would cost an object for each, one of a byte too. `release` gives
 * the memory back at once, without waiting for a garbage collection.
 */
export class GrowingBytes {
  readonly #most: number;
  #bytes: Uint8Array<ArrayBuffer> = nothing;
  #length = 0;

  /** @param most how many bytes it may ever hold. */
  constructor(most: number) {
    this.#most = most;
  }

  get length(): number {
    return this.#length;
  }

  /** Copies a piece to the end. @returns false when that would be more than it may hold: then nothing was done. */
  append(piece: Uint8Array): boolean {
    const length = this.#length + piece.byteLength;
    if (length > this.#most) return false;
    if (length > this.#bytes.byteLength) this.#grow(length);
    this.#bytes.set(piece, this.#length);
    this.#length = length;
    return true;
  }

  /** As `append`, of a piece that nobody else uses: the first is held as it is. Most bodies are one piece. */
  take(piece: Uint8Array<ArrayBuffer>): boolean {
    if (this.#length > 0 || piece.byteLength > this.#most) return this.append(piece);
    this.#bytes = piece;
    this.#length = piece.byteLength;
    return true;
  }

  /** What is held. It is the memory itself: of no use after the next `append`, `clear` or `release`. */
  view(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  /** What is held, as UTF-8. */
  text(): string {
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset, this.#length).toString('utf8');
  }

  /** Forgets what is held, and keeps the room if it is small. */
  clear(): void {
    this.#length = 0;
    if (this.#bytes.byteLength > MAPPED_FROM_BYTES) this.release();
  }

  /** Gives the memory back. */
  release(): void {
    const { buffer } = this.#bytes;
    this.#bytes = nothing;
    this.#length = 0;
    if (buffer.resizable) buffer.resize(0);
  }

  #grow(length: number): void {
    const { buffer } = this.#bytes;
    if (length <= MAPPED_FROM_BYTES || this.#most <= MAPPED_FROM_BYTES) {
      const doubled = Math.min(Math.max(LEAST_BYTES, this.#bytes.byteLength * 2), this.#most);
      const wider = new Uint8Array(Math.max(length, doubled));
      wider.set(this.view());
      this.#bytes = wider;
      return;
    }
    const wanted = Math.min(this.#most, Math.max(length, Math.ceil(this.#length * 1.25)));
    if (buffer.resizable) {
      buffer.resize(wanted);
      return; // the view is as long as its buffer
    }
    const mapped = new Uint8Array(new ArrayBuffer(wanted, { maxByteLength: this.#most }));
    mapped.set(this.view());
    this.#bytes = mapped;
  }
}
