import { McpctlError } from '../errors.ts';
import { GrowingBytes } from './growing-bytes.ts';

const LF = 0x0a;

/**
 * Cuts bytes that arrive in pieces into lines. No more is held than one unfinished line, and that in one buffer.
 * A line is handed over as bytes, which are of no use after the next one was asked for.
 */
export class ByteLines {
  readonly #begun: GrowingBytes;
  readonly #most: number;

  /** @param most the longest line, in bytes. */
  constructor(most: number) {
    this.#begun = new GrowingBytes(most);
    this.#most = most;
  }

  /** How much of an unfinished line is held. */
  get begunBytes(): number {
    return this.#begun.length;
  }

  /**
   * The lines that end in this piece, without their line feeds.
   * @throws McpctlError `body_too_large` as soon as a line is seen to be too long.
   */
  *feed(piece: Uint8Array): Generator<Uint8Array, void, undefined> {
    let from = 0;
    for (let at = piece.indexOf(LF); at >= 0; at = piece.indexOf(LF, from)) {
      const end = piece.subarray(from, at);
      from = at + 1;
      if (this.#begun.length === 0 && end.byteLength <= this.#most) {
        yield end;
        continue;
      }
      if (!this.#begun.append(end)) throw new McpctlError('body_too_large');
      yield this.#begun.view();
      this.#begun.clear();
    }
    if (!this.#begun.append(piece.subarray(from))) throw new McpctlError('body_too_large');
  }

  /** What came after the last line feed. */
  rest(): Uint8Array {
    return this.#begun.view();
  }

  release(): void {
    this.#begun.release();
  }
}
