import type { Redis } from 'ioredis';
import { parseOutcome, type Ending, type Outcome } from '../outcome.ts';

/** One entry of a task's event stream, in order of `epoch`, then `seq`. */
export type Entry =
  | { kind: 'event'; epoch: number; seq: number; data: string }
  | { kind: 'end'; epoch: number; seq: number; ending: Ending }
  | { kind: 'closed'; epoch: number; seq: number; outcome: Outcome };

/** A place in a stream: everything after it is still to come. */
export interface Position {
  epoch: number;
  seq: number;
}

export const beginning: Position = { epoch: 0, seq: 0 };

export function isAfter(entry: Position, position: Position): boolean {
  return entry.epoch > position.epoch || (entry.epoch === position.epoch && entry.seq > position.seq);
}

export const MOST_AT_ONCE = 500;

/** Reads what the stream holds after a position, at most 500 entries; ask again for more. */
export async function readStream(redis: Redis, key: string, after: Position): Promise<Entry[]> {
  const raw = await redis.xrange(key, `(${after.epoch}-${after.seq}`, '+', 'COUNT', MOST_AT_ONCE);
  return raw.flatMap(([id, fields]) => parseEntry(id, fields) ?? []);
}

/** The last entry, if it says how the task ended. */
export async function readLast(redis: Redis, key: string): Promise<Entry | null> {
  const last = (await redis.xrevrange(key, '+', '-', 'COUNT', 1))[0];
  if (!last) return null;
  const entry = parseEntry(last[0], last[1]);
  return entry && entry.kind !== 'event' ? entry : null;
}

function parseEntry(id: string, fields: readonly string[]): Entry | null {
  const [epoch, seq] = id.split('-').map(Number);
  if (epoch === undefined || seq === undefined) return null;
  const field = (name: string): string => {
    for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1] ?? '';
    return '';
  };
  switch (fields[0]) {
    case 'd':
      return { kind: 'event', epoch, seq, data: fields[1] ?? '' };
    case 'x':
      return { kind: 'closed', epoch, seq, outcome: parseOutcome(fields[1] ?? '') };
    case 'e':
      return {
        kind: 'end',
        epoch,
        seq,
        ending: {
          outcome: parseOutcome(fields[1] ?? ''),
          epoch,
          claim: field('c'),
          session: field('session'),
          llmId: field('llm'),
          claimedAt: instant(field('claimedAt')),
          firstEventAt: instant(field('firstAt')),
          endedAt: instant(field('at')),
        },
      };
    case undefined:
    default:
      return null;
  }
}

function instant(ms: string): Date | null {
  return ms === '' ? null : new Date(Number(ms));
}
