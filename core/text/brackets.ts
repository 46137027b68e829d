const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const opening = new Set([0x7b, 0x5b]);
const closing = new Set([0x7d, 0x5d]);

/** Whether what a JSON text has opened is closed, told from its pieces as they come, without keeping them. */
export class Brackets {
  #depth = 0;
  #isInString = false;
  #isEscaped = false;

  add(piece: string): void {
    for (let at = 0; at < piece.length; at++) {
      const c = piece.charCodeAt(at);
      if (this.#isEscaped) this.#isEscaped = false;
      else if (this.#isInString) {
        if (c === BACKSLASH) this.#isEscaped = true;
        else if (c === QUOTE) this.#isInString = false;
      } else if (c === QUOTE) this.#isInString = true;
      else if (opening.has(c)) this.#depth += 1;
      else if (closing.has(c)) this.#depth -= 1;
    }
  }

  get isOpen(): boolean {
    return this.#depth > 0 || this.#isInString;
  }
}
