/** The text around one string of a JSON text: up to its opening quote, and from its closing one on. */
export interface Mould {
  before: string;
  after: string;
}

/** The inside of a JSON string, as long as it says something. */
const inside = /^(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))+$/;
const usual = /["\\\u0000-\u001f]/;
/** How many texts are passed over at most before one is learnt again. */
const MOST_PASSED = 256;

/**
 * The chunks of an answer differ in one string alone, the few characters that each brings. Who has looked at one of
 * them closely, and found that nothing but that string would be different in the next, need not take the next apart.
 * @typeParam Made what was made of the text that was learnt, by whoever learns.
 */
export class Moulds<Made> {
  #mould: (Mould & { made: Made }) | null = null;
  #passed = 0;
  #pass = 0;
  #used = true;

  /** What was made of the text that this one is like, and the inside of its own string; null when it is like none. */
  like(text: string): { made: Made; ownText: string } | null {
    if (this.#mould === null) return null;
    const { before, after, made } = this.#mould;
    const end = text.length - after.length;
    if (end <= before.length || !text.startsWith(before) || !text.endsWith(after)) return null;
    const ownText = text.slice(before.length, end);
    if (usual.test(ownText) && !inside.test(ownText)) return null;
    this.#used = true;
    return { made, ownText };
  }

  /** Is it worth learning this text? Where no two are alike it soon is not, and is tried again from time to time. */
  isWanted(): boolean {
    if (this.#used) this.#pass = 0;
    this.#passed += 1;
    return this.#passed > this.#pass;
  }

  /** @param mould of a text whose string says something. */
  learn(mould: Mould, made: Made): void {
    this.#pass = this.#used ? 1 : Math.min(2 * this.#pass + 1, MOST_PASSED);
    this.#mould = { before: mould.before, after: mould.after, made };
    this.#passed = 0;
    this.#used = false;
  }
}
