import { Writable } from 'node:stream';
import width from 'string-width';

/** A sequence of a terminal, or a character. */
const piece = /\u001b(?:\[([\d;]*)([A-Za-z])|([78DM]))|[^]/gu;

/** What a person sees of what is written to a terminal of that size: as xterm and tmux show it, also once it is resized. */
export class Screen {
  rows: number;
  readonly columns: number;
  /** What has scrolled out of it. */
  readonly #gone: string[] = [];
  #lines: string[][];
  #at = { row: 0, column: 0 };
  #saved = { row: 0, column: 0 };
  #bottom: number;

  constructor(rows: number, columns: number) {
    [this.rows, this.columns, this.#bottom] = [rows, columns, rows - 1];
    this.#lines = Array.from({ length: rows }, () => []);
  }

  stream(): Writable {
    return new Writable({
      decodeStrings: false,
      write: (text: string | Buffer, _encoding, done) => {
        for (const [whole, given = '', final, short] of text.toString().matchAll(piece))
          if (final === undefined && short === undefined) this.#put(whole);
          else this.#obey(final ?? short ?? '', given.split(';').map(Number));
        done();
      },
    });
  }

  /** Lines below the cursor go first, then those at the top; the region that scrolls is the whole again. */
  resize(rows: number): void {
    while (this.#lines.length > rows)
      if (this.#lines.length - 1 > this.#at.row) this.#lines.pop();
      else {
        this.#gone.push(this.#text(this.#lines.shift() ?? []));
        this.#at.row--;
      }
    while (this.#lines.length < rows) this.#lines.push([]);
    [this.rows, this.#bottom] = [rows, rows - 1];
  }

  bottom = (): string => this.#text(this.#lines.at(-1) ?? []);

  /** All that there is, with what has scrolled out; lines with nothing in them are none. */
  seen = (): string[] =>
    [...this.#gone, ...this.#lines.map((line) => this.#text(line))].filter((line) => line !== '');

  #text = (line: readonly string[]): string =>
    Array.from(line, (cell) => cell ?? ' ')
      .join('')
      .trimEnd();

  #put(character: string): void {
    if (character === '\r') this.#at.column = 0;
    else if (character === '\n') this.#down(true);
    else {
      const wide = width(character);
      if (this.#at.column + wide > this.columns) this.#down(true);
      const line = (this.#lines[this.#at.row] ??= []);
      line[this.#at.column] = character;
      if (wide === 2) line[this.#at.column + 1] = '';
      this.#at.column += wide;
    }
  }

  /** At the end of the region it scrolls; on the last line, outside of it, nothing moves. */
  #down(returns: boolean): void {
    if (returns) this.#at.column = 0;
    if (this.#at.row === this.#bottom) {
      this.#gone.push(this.#text(this.#lines.shift() ?? []));
      this.#lines.splice(this.#bottom, 0, []);
    } else this.#at.row = Math.min(this.#at.row + 1, this.rows - 1);
  }

  #obey(what: string, [first = 0, second = 0]: number[]): void {
    const { row, column } = this.#at;
    if (what === '7') this.#saved = { row, column };
    else if (what === '8') this.#at = { ...this.#saved };
    else if (what === 'D') this.#down(false);
    else if (what === 'A') this.#at.row = Math.max(0, row - (first || 1));
    else if (what === 'B') this.#at.row = Math.min(this.rows - 1, row + (first || 1));
    else if (what === 'H') this.#at = { row: Math.min(this.rows, first || 1) - 1, column: (second || 1) - 1 };
    else if (what === 'r') [this.#bottom, this.#at] = [(second || this.rows) - 1, { row: 0, column: 0 }];
    else if (what === 'K') this.#lines[row] = first === 2 ? [] : (this.#lines[row] ?? []).slice(0, column);
    else if (what === 'J')
      this.#lines = this.#lines.map((line, n) => (n < row ? line : n > row ? [] : line.slice(0, column)));
    else if (what !== 'm') throw new Error(`No terminal of these tests knows ESC ${what}.`);
  }
}
