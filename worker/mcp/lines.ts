/** Cuts what a child prints into lines, and holds no more of one than may be. */
export class Lines {
  readonly #most: number;
  readonly #onLine: (line: string) => void;
  readonly #onTooLong: () => void;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #isOver = false;

  constructor(how: { most: number; onLine: (line: string) => void; onTooLong: () => void }) {
    this.#most = how.most;
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
    this.#bytes += part.length;
    if (this.#bytes > this.#most) {
      this.#isOver = true;
      this.#pieces = [];
      this.#onTooLong();
    } else if (part.length > 0) this.#pieces.push(part);
  }

  #emit(): void {
    if (this.#isOver) return;
    const line = Buffer.concat(this.#pieces).toString('utf8').trim();
    this.#pieces = [];
    this.#bytes = 0;
    if (line !== '') this.#onLine(line);
  }
}
