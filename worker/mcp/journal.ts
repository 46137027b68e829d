import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { writePrivately } from '../../core/runtime/files/private-file.mjs';
import { jsonValue } from '../../core/text/json-text.ts';

const headSchema = z.object({ journal: z.uuid() });
const lineSchema = z.object({ task: z.string(), at: z.number(), outcome: z.string().optional() });

const KEPT_MS = 24 * 3_600_000;
const MOST_ENTRIES = 50_000;
/** A larger one is not kept: after a lost Redis its call ends as one of which nobody knows what became. */
const MOST_OUTCOME_CHARS = 256 * 1024;
const MOST_FILE_BYTES = 64 * 1024 * 1024;

interface Entry {
  at: number;
  outcome?: { from: number; bytes: number };
}

/**
 * Which calls this machine has given to a server, and what came of them, for the one case that Redis came back empty and
 * brings one again: it is never run twice. Written before the first byte into the server's input. It lives in
 * one file of the worker's home, and outlives the worker; a loss of power may take its last lines along.
 */
export class Journal {
  /** Known to the registry: a call that was accepted for another journal may have run there. */
  readonly id: string;
  readonly #file: number;
  readonly #entries: Map<string, Entry>;
  #bytes: number;

  private constructor(how: { id: string; path: string; entries: Map<string, Entry> }) {
    this.id = how.id;
    this.#entries = how.entries;
    this.#file = openSync(how.path, 'a+', 0o600);
    this.#bytes = readFileSync(how.path).length;
  }

  /** Opens it, without what is older than a day. A file that is none is begun anew, under another id. */
  static open(path: string, now: number): Journal {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const { id, lines } = read(path, now);
    const head = `${JSON.stringify({ journal: id })}\n`;
    writePrivately(path, head + lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    const entries = new Map<string, Entry>();
    let from = Buffer.byteLength(head);
    for (const line of lines) {
      const bytes = Buffer.byteLength(JSON.stringify(line)) + 1;
      entries.set(line.task, {
        at: line.at,
        ...(line.outcome === undefined ? {} : { outcome: { from, bytes } }),
      });
      from += bytes;
    }
    return new Journal({ id, path, entries });
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

  /** It is about to be given to its server. @throws the file system's error: then it must not be. */
  deliver(task: string, at: number): void {
    this.#append({ task, at });
    this.#entries.set(task, { at });
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MOST_ENTRIES && oldest !== undefined) this.#entries.delete(oldest);
  }

  /** What came of it; one that cannot be written stays one of which nobody knows. */
  end(task: string, { at, outcome }: { at: number; outcome: string }): void {
    if (outcome.length > MOST_OUTCOME_CHARS || this.#bytes > MOST_FILE_BYTES) return;
    const place = this.#append({ task, at, outcome });
    this.#entries.set(task, { at, outcome: place });
  }

  close(): void {
    closeSync(this.#file);
  }

  #append(line: z.infer<typeof lineSchema>): { from: number; bytes: number } {
    const text = `${JSON.stringify(line)}\n`;
    const from = this.#bytes;
    const bytes = writeSync(this.#file, text);
    this.#bytes += bytes;
    return { from, bytes };
  }
}

function read(path: string, now: number): { id: string; lines: z.infer<typeof lineSchema>[] } {
  const [first = '', ...rest] = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
  const head = headSchema.safeParse(jsonValue(first));
  if (!head.success) return { id: randomUUID(), lines: [] };
  const lines = new Map<string, z.infer<typeof lineSchema>>();
  for (const text of rest) {
    const line = lineSchema.safeParse(jsonValue(text)); // the last may be torn
    if (line.success && now - line.data.at < KEPT_MS) lines.set(line.data.task, line.data);
  }
  return { id: head.data.journal, lines: [...lines.values()].slice(-MOST_ENTRIES) };
}
