import { GrowingBytes } from '../../core/text/growing-bytes.ts';

/** Cuts what a child prints into lines, and holds no more of one than may be. */
export class Lines {
  readonly #onLine: (line: string) => void;
  readonly #onTooLong: () => void;
  readonly #line: GrowingBytes;
  #isOver = false;

  constructor(how: { most: number; onLine: (line: string) => void; onTooLong: () => void }) {
    this.#line = new GrowingBytes(how.most);
    this.#onLine = how.onLine;
    this.#onTooLong = how.onTooLong;
  }

  /** After a line that was too long nothing more is read. */
  push(piece: Buffer): void {
    let from = 0;
    while (!this.#isOver && from < piece.length) {
      const at = piece.indexOf(10, from);
      const end = at < 0 ? piece.length : at;
      this.#add(piece.subarray(from, end));
      if (at >= 0) this.#emit();
      from = end + 1;
    }
  }

  #add(part: Buffer): void {
    if (this.#line.append(part)) return;
    this.#isOver = true;
    this.#line.release();
    this.#onTooLong();
  }

  #emit(): void {
    if (this.#isOver) return;
    const line = this.#line.text().trim();
    this.#line.clear();
    if (line !== '') this.#onLine(line);
  }
}
