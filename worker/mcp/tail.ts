import { StringDecoder } from 'node:string_decoder';

/** The last of what a process printed, in a bounded piece of memory, and shown without its secrets. */
export class Tail {
  readonly #most: number;
  readonly #blank: (text: string) => string;
  /** A form of a secret is no longer than this. */
  readonly #longest: number;
  readonly #decoder = new StringDecoder('utf8');
  #text = '';
  #isCut = false;

  constructor(how: { most: number; blank: (text: string) => string; longest: number }) {
    this.#most = how.most;
    this.#blank = how.blank;
    this.#longest = how.longest;
  }

  push(piece: Buffer): void {
    const text = this.#text + this.#decoder.write(piece);
    this.#isCut ||= text.length > this.#most;
    this.#text = text.length > this.#most ? text.slice(-this.#most) : text;
  }

  /** From the beginning of a line; of a secret that was cut in two nothing is left. */
  get text(): string {
    const blanked = this.#blank(this.#text);
    if (!this.#isCut) return blanked;
    const rest = blanked.slice(this.#longest);
    return rest.slice(rest.indexOf('\n') + 1);
  }
}
