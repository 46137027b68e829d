import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { writePrivately } from '../../core/runtime/files/private-file.mjs';
import { jsonValue } from '../../core/text/json-text.ts';

const headSchema = z.object({ journal: z.uuid() });
const lineSchema = z.object({ task: z.string(), at: z.number(), outcome: z.string().optional() });
type Line = z.infer<typeof lineSchema>;

/** So long an outcome is kept. That a call was given is forgotten by no clock: one that was set ahead would have it given once more. */
const KEPT_MS = 24 * 3_600_000;
const MOST_ENTRIES = 50_000;
/** A larger one is not kept: after a lost Redis its call ends as one of which nobody knows what became. */
const MOST_OUTCOME_CHARS = 256 * 1024;
/** Then the file is written anew, with half of that in outcomes at most. */
const MOST_FILE_BYTES = 64 * 1024 * 1024;

interface Place {
  from: number;
  bytes: number;
}

interface Entry {
  at: number;
  outcome?: Place;
}

/**
 * Which calls this machine has given to a server, and what came of them, for the one case that Redis came back empty and
 * brings one again: it is never run twice. Written before the first byte into the server's input. It lives in
 * one file of the worker's home, and outlives the worker; a loss of power may take its last lines along.
 */
export class Journal {
  /** Known to the registry: a call that was accepted for another journal may have run there. */
  readonly id: string;
  readonly #path: string;
  readonly #mostBytes: number;
  #entries = new Map<string, Entry>();
  #file = -1;
  #bytes = 0;
  /** A line did not fit on the disk: the next one begins on a line of its own. */
  #isTorn = false;

  private constructor(how: { id: string; path: string; mostBytes: number }) {
    this.id = how.id;
    this.#path = how.path;
    this.#mostBytes = how.mostBytes;
  }

  /**
   * Opens it, without outcomes that are older than a day. A file that is none is begun anew, under another id.
   * @throws the file system's error.
   */
  static open(path: string, now: number, { mostBytes = MOST_FILE_BYTES } = {}): Journal {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const before = existsSync(path) ? readFileSync(path, 'utf8') : '';
    const id = idIn(before);
    const journal = new Journal({ id: id ?? randomUUID(), path, mostBytes });
    journal.#write(id === null ? [] : linesIn(before, now));
    return journal;
  }

  /** What is known of a call: nothing, that it was given to its server, or what came of it. */
  look(task: string): null | 'delivered' | { outcome: string } {
    const entry = this.#entries.get(task);
    if (!entry) return null;
    if (!entry.outcome) return 'delivered';
    const { from, bytes } = entry.outcome;
    const line = Buffer.alloc(bytes);
    readSync(this.#file, line, 0, bytes, from);
    const parsed = lineSchema.safeParse(JSON.parse(line.toString('utf8')));
    return parsed.success && parsed.data.outcome !== undefined
      ? { outcome: parsed.data.outcome }
      : 'delivered';
  }

  /** It is about to be given to its server. @returns whether that is written down: else it must not be. */
  deliver(task: string, at: number): boolean {
    try {
      if (this.#bytes > this.#mostBytes) this.#write(linesIn(readFileSync(this.#path, 'utf8'), at));
    } catch {
      return false; // a full disk, mostly
    }
    if (this.#append({ task, at }) === null) return false;
    this.#entries.set(task, { at });
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MOST_ENTRIES && oldest !== undefined) this.#entries.delete(oldest);
    return true;
  }

  /** What came of it; one that cannot be written stays one of which nobody knows. */
  end(task: string, { at, outcome }: { at: number; outcome: string }): void {
    if (outcome.length > MOST_OUTCOME_CHARS) return;
    const place = this.#append({ task, at, outcome });
    if (place) this.#entries.set(task, { at, outcome: place });
  }

  close(): void {
    closeSync(this.#file);
    this.#file = -1; // its number becomes another file's
  }

  #append(line: Line): Place | null {
    const before = this.#isTorn ? '\n' : '';
    const text = Buffer.from(`${before}${JSON.stringify(line)}\n`);
    try {
      const bytes = writeSync(this.#file, text);
      const from = this.#bytes + before.length;
      this.#bytes += bytes;
      this.#isTorn = bytes < text.length;
      return this.#isTorn ? null : { from, bytes: bytes - before.length };
    } catch {
      return null; // a full disk, mostly
    }
  }

  /** The file as a whole, with those lines: the newest outcomes, and of older calls that they were delivered. */
  #write(lines: readonly Line[]): void {
    let room = this.#mostBytes / 2;
    const kept: Line[] = [];
    for (const { outcome, ...line } of lines.slice(-MOST_ENTRIES).toReversed()) {
      room -= outcome === undefined ? 0 : Buffer.byteLength(outcome);
      kept.push(outcome === undefined || room < 0 ? line : { ...line, outcome });
    }
    const head = `${JSON.stringify({ journal: this.id })}\n`;
    let text = head;
    let from = Buffer.byteLength(head);
    const entries = new Map<string, Entry>();
    for (const line of kept.toReversed()) {
      const written = `${JSON.stringify(line)}\n`;
      const bytes = Buffer.byteLength(written);
      entries.set(line.task, {
        at: line.at,
        ...(line.outcome === undefined ? {} : { outcome: { from, bytes } }),
      });
      text += written;
      from += bytes;
    }
    writePrivately(this.#path, text);
    const file = openSync(this.#path, 'a+', 0o600);
    if (this.#file >= 0) closeSync(this.#file);
    this.#file = file;
    this.#entries = entries;
    this.#bytes = from;
    this.#isTorn = false;
  }
}

function idIn(file: string): string | null {
  const head = headSchema.safeParse(jsonValue(file.split('\n', 1)[0] ?? ''));
  return head.success ? head.data.journal : null;
}

/** One for each call, the last that was said of it, in the order in which they began. */
function linesIn(file: string, now: number): Line[] {
  const lines = new Map<string, Line>();
  for (const text of file.split('\n')) {
    const { success, data: line } = lineSchema.safeParse(jsonValue(text)); // the last may be torn
    if (success) lines.set(line.task, now - line.at < KEPT_MS ? line : { task: line.task, at: line.at });
  }
  return [...lines.values()];
}
