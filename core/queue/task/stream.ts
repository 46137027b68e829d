import type { Redis } from 'ioredis';
import { z } from 'zod';
import { parseOutcome, plausibleOutcome, type Ending, type Outcome } from '../../task/outcome.ts';
import { tagOf, type Attempt } from './attempt.ts';
import { overWide } from '../line/wide.ts';
import { runScript } from '../scripts.ts';

/**
 * One entry of a task's event stream, in order of `epoch`, then `seq`. Events that were sent together are one entry:
 * `seq` is the number of the last of them, and each has its own, counted back from it.
 */
export type Entry =
  Events | (Position & { kind: 'end'; ending: Ending }) | (Position & { kind: 'closed'; outcome: Outcome });

export interface Events extends Position {
  kind: 'events';
  /** At least one. */
  data: readonly string[];
  /** Its claim was pinned as it was told, for whoever shows it now. */
  pinned?: Pinned | undefined;
}

export interface Pinned {
  llmId: string;
  claimedAt: Date | null;
  /** When it was heard, by `performance.now()`. */
  heardAt: number;
}

/** A place in the stream of an attempt: everything after it is still to come. */
export interface Position extends Attempt {
  seq: number;
}

export const beginning: Position = { epoch: 0, seq: 0 };

export function isAfter(entry: Position, position: Position): boolean {
  return entry.epoch > position.epoch || (entry.epoch === position.epoch && entry.seq > position.seq);
}

/** The number of an entry's first event, or of an end. */
export function firstSeq(entry: Entry): number {
  return entry.kind === 'events' ? entry.seq - entry.data.length + 1 : entry.seq;
}

/** What of an entry comes after a position; null when nothing does. */
export function restOf(entry: Entry, position: Position): Entry | null {
  if (!isAfter(entry, position)) return null;
  if (entry.kind !== 'events' || entry.epoch !== position.epoch) return entry;
  const seen = position.seq + 1 - firstSeq(entry);
  return seen > 0 ? { ...entry, data: entry.data.slice(seen) } : entry;
}

/** The number that what comes next must begin with; any other means that some were trimmed. */
export function seqAfter(position: Position, epoch: number): number {
  return epoch === position.epoch ? position.seq + 1 : 1;
}

/** A page that others' small things wait behind, and one that goes over a connection of its own (decision 0043). */
const PAGE_BYTES = 16 * 1024;
const WIDE_PAGE_BYTES = 64 * 1024;
/** What is larger is read by itself. */
export const SMALL_ENTRY_BYTES = PAGE_BYTES;

const pageSchema = z.tuple([z.number()], z.tuple([z.string(), z.array(z.string())]));
const lastSchema = z.union([z.tuple([]), z.tuple([z.string(), z.array(z.string()), z.number().optional()])]);

interface Page {
  entries: Entry[];
  /** There is more: `readOn`. */
  more: boolean;
}

/** What the stream holds after a position: a page of it, or one entry that is larger. */
export async function readPage(redis: Redis, key: string, after: Position): Promise<Page> {
  const page = await ask(redis, key, [`${after.epoch}-${after.seq}`, PAGE_BYTES, '']);
  const [leftBytes, first] = page;
  return leftBytes > 0 && !first
    ? await readWide({ redis, key, bytes: leftBytes }, after)
    : pageAfter(after, page);
}

/** The same of a stream that holds more than a page. */
export async function readOn(redis: Redis, key: string, after: Position): Promise<Page> {
  return await readWide({ redis, key, bytes: WIDE_PAGE_BYTES }, after);
}

async function readWide(
  { redis, key, bytes }: { redis: Redis; key: string; bytes: number },
  after: Position,
): Promise<Page> {
  const args = [`${after.epoch}-${after.seq}`, WIDE_PAGE_BYTES, '1'];
  return pageAfter(after, await overWide(redis, bytes, (over) => ask(over, key, args)));
}

async function ask(
  redis: Redis,
  key: string,
  args: readonly (string | number)[],
): Promise<z.infer<typeof pageSchema>> {
  return pageSchema.parse(await runScript(redis, 'read', { keys: [key], args }));
}

function pageAfter(after: Position, [leftBytes, ...raw]: z.infer<typeof pageSchema>): Page {
  return {
    entries: raw.flatMap(([id, fields]) => {
      const entry = parseEntry(id, fields);
      return (entry && restOf(entry, after)) ?? [];
    }),
    more: leftBytes > 0,
  };
}

/** The last entry; null when there is none, or it is not ours. Events that are large are told without their text. */
export async function readTop(redis: Redis, key: string): Promise<Entry | null> {
  const call = { keys: [key], args: [SMALL_ENTRY_BYTES] };
  const [id, fields = [], bytes] = lastSchema.parse(await runScript(redis, 'last', call));
  if (id === undefined) return null;
  const entry = parseEntry(id, fields);
  if (bytes === undefined || entry?.kind === 'events') return entry;
  const [top] = await overWide(redis, bytes, (over) => over.xrevrange(key, '+', '-', 'COUNT', 1));
  return top ? parseEntry(top[0], top[1]) : null;
}

/** The last entry, if it says how the task ended. */
export async function readLast(redis: Redis, key: string): Promise<Entry | null> {
  const top = await readTop(redis, key);
  return top && top.kind !== 'events' ? top : null;
}

/** `epoch-seq`, or `epoch-seq-tag`; null when it is not. */
function parseId(id: string): Position | null {
  const [epoch, seq, tag = ''] = id.split('-');
  const at = { epoch: Number(epoch), seq: Number(seq ?? NaN), tag };
  return Number.isSafeInteger(at.epoch) && Number.isSafeInteger(at.seq) ? at : null;
}

/** Events that travel together. */
function eventsOf(lines: string): string[] {
  return lines.split('\n');
}

/** An entry by its id and fields, as the stream holds it and the channel tells it; null when it is none of ours. */
export function parseEntry(id: string, fields: readonly string[]): Entry | null {
  const at = parseId(id);
  if (!at) return null;
  const { epoch, seq } = at;
  const field = (name: string): string => {
    for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1] ?? '';
    return '';
  };
  switch (fields[0]) {
    case 'd':
      return { kind: 'events', epoch, seq, tag: field('c'), data: [fields[1] ?? ''] };
    case 'l':
      return { kind: 'events', epoch, seq, tag: field('c'), data: eventsOf(fields[1] ?? '') };
    case 'x':
      return { kind: 'closed', epoch, seq, tag: field('c'), outcome: parseOutcome(fields[1] ?? '') };
    case 'e':
      return {
        kind: 'end',
        epoch,
        seq,
        tag: tagOf(field('c')),
        ending: {
          outcome: plausibleOutcome(parseOutcome(fields[1] ?? '')),
          epoch,
          claim: field('c'),
          session: field('session'),
          llmId: field('llm'),
          claimedAt: instant(field('claimedAt')),
          firstEventAt: instant(field('firstAt')),
          endedAt: instant(field('at')),
          streamedBytes: byteCount(field('bytes')),
        },
      };
    case undefined:
    default:
      return null;
  }
}

function byteCount(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}

function instant(ms: string): Date | null {
  return ms === '' ? null : new Date(Number(ms));
}

const isText = (value: unknown): value is string => typeof value === 'string';

/**
 * The entry that a message on a task's channel tells: the id of the first of some events (with the tag of
 * their claim), then the events, a line each (on an edge's channel of the pool, where the claim was pinned with them, who has it and since when behind the id); or, for an end or a close, `[id, fields]` as JSON. Null when it is neither: then the record is read instead.
 */
export function parseMessage(text: string): Entry | null {
  if (text.startsWith('[')) return parseEnd(text);
  const line = text.indexOf('\n');
  if (line < 0) return null;
  const [id = '', llmId, claimedAt = ''] = text.slice(0, line).split(' ');
  const first = parseId(id);
  if (!first) return null;
  const data = eventsOf(text.slice(line + 1));
  const entry: Events = { kind: 'events', ...first, seq: first.seq + data.length - 1, data };
  return llmId === undefined ? entry : { ...entry, pinned: pinnedAs(llmId, claimedAt) };
}

function pinnedAs(llmId: string, claimedAt: string): Pinned {
  const at = /^\d{1,15}$/.test(claimedAt) ? new Date(Number(claimedAt)) : null;
  return { llmId, claimedAt: at, heardAt: performance.now() };
}

function parseEnd(text: string): Entry | null {
  try {
    // By hand, as each call comes by here: a schema takes longer than all the rest of it.
    const raw: unknown = JSON.parse(text);
    if (!Array.isArray(raw)) return null;
    const [id, fields] = raw as unknown[];
    if (!isText(id) || !Array.isArray(fields) || !fields.every(isText)) return null;
    const entry = parseEntry(id, fields);
    return entry?.kind === 'events' ? null : entry;
  } catch {
    return null; // no message of ours
  }
}
