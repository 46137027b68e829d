import { StringDecoder } from 'node:string_decoder';
import type { Readable } from 'node:stream';
import { shownInLine } from '../../core/names.ts';
import { storableSentence } from '../../core/text/storable.ts';

/** What is left of a line that is longer. */
const LONGEST_LINE = 4_096;
/** Of a second: past the first nothing is kept, past the second nothing is read, and who prints has to wait. */
const KEPT_BYTES = 256 * 1024;
const READ_BYTES = 4 * 1024 * 1024;
/** A line is written by itself: ten thousand short ones cost more than their bytes. */
const LINE_COSTS = 128;
const SECOND_MS = 1_000;
const LONGEST_SHOWN = 300;

interface PrintedDeps {
  /** Takes each line that is kept. */
  keep: (line: string) => void;
  /** Takes secrets out of a text. */
  blank: (text: string) => string;
}

/**
 * What a child prints, as lines without control characters: kept, and the last of them for who asks why it ended. One that
 * prints without an end costs no more than so much of a second, whatever it prints.
 */
export class Printed {
  readonly #deps: PrintedDeps;
  readonly #last = new Map<Readable, string>();
  readonly #streams: readonly Readable[];
  #readBytes = 0;
  #keptBytes = 0;
  #droppedBytes = 0;
  #over: NodeJS.Timeout | undefined;

  /** @param streams in the order in which their last lines are believed: stderr first. */
  constructor(streams: readonly Readable[], deps: PrintedDeps) {
    this.#deps = deps;
    this.#streams = streams;
    for (const stream of streams) this.#read(stream);
  }

  /** Fit to be shown to anybody; empty where it has printed nothing. */
  get lastLine(): string {
    const line = this.#streams.map((stream) => this.#last.get(stream) ?? '').find((text) => text !== '');
    return storableSentence(line ?? '', LONGEST_SHOWN);
  }

  #read(stream: Readable): void {
    const decoder = new StringDecoder('utf8');
    let begun = '';
    stream.on('data', (piece: Buffer) => {
      this.#count(piece.length);
      // Of what is not kept only the end is looked at: it may be the last that is ever said.
      const isKept = this.#keptBytes <= KEPT_BYTES;
      if (!isKept) this.#droppedBytes += piece.length;
      const lines = (begun + decoder.write(isKept ? piece : piece.subarray(-LONGEST_LINE))).split('\n');
      begun = (lines.pop() ?? '').slice(0, LONGEST_LINE);
      for (const text of isKept ? lines : lines.slice(-1)) this.#line(stream, text);
    });
    stream.on('error', () => undefined); // 'close' follows
    stream.on('close', () => {
      if (begun !== '') this.#line(stream, begun);
      begun = '';
    });
  }

  #line(stream: Readable, text: string): void {
    const isKept = this.#keptBytes <= KEPT_BYTES;
    const shown = shownInLine(this.#deps.blank(text.slice(0, LONGEST_LINE))).trimEnd();
    if (shown === '') return;
    this.#last.set(stream, shown);
    if (!isKept) return;
    this.#keptBytes += shown.length + LINE_COSTS;
    this.#deps.keep(shown);
  }

  #count(bytes: number): void {
    this.#readBytes += bytes;
    this.#over ??= setTimeout(() => this.#nextSecond(), SECOND_MS).unref();
    if (this.#readBytes > READ_BYTES) for (const stream of this.#streams) stream.pause();
  }

  #nextSecond(): void {
    this.#over = undefined;
    this.#readBytes = this.#keptBytes = 0;
    if (this.#droppedBytes > 0)
      this.#deps.keep(`(about ${String(this.#droppedBytes)} bytes are not kept: it prints too much)`);
    this.#droppedBytes = 0;
    for (const stream of this.#streams) stream.resume();
  }
}
