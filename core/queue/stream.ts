import type { Redis } from 'ioredis';
import { z } from 'zod';
import { parseOutcome, type Ending, type Outcome } from '../outcome.ts';
import { runScript } from './scripts.ts';

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

/** The number that an entry must have to come next; any other means that some were trimmed. */
export function seqAfter(position: Position, epoch: number): number {
  return epoch === position.epoch ? position.seq + 1 : 1;
}

const PAGE_BYTES = 64 * 1024;
const pageSchema = z.tuple([z.number()], z.tuple([z.string(), z.array(z.string())]));

/** What the stream holds after a position: about 64 KiB of it, or one entry that is larger. `more`: ask again. */
export async function readPage(
  redis: Redis,
  key: string,
  after: Position,
): Promise<{ entries: Entry[]; more: boolean }> {
  const answer = await runScript(redis, 'read', {
    keys: [key],
    args: [`${after.epoch}-${after.seq}`, PAGE_BYTES],
  });
  const [more, ...raw] = pageSchema.parse(answer);
  return {
    entries: raw.flatMap(([id, fields]) => parseEntry(id, fields) ?? []),
    more: more === 1,
  };
}

/** The last entry; null when there is none, or it is not ours. */
export async function readTop(redis: Redis, key: string): Promise<Entry | null> {
  const top = (await redis.xrevrange(key, '+', '-', 'COUNT', 1))[0];
  return top ? parseEntry(top[0], top[1]) : null;
}

/** The last entry, if it says how the task ended. */
export async function readLast(redis: Redis, key: string): Promise<Entry | null> {
  const top = await readTop(redis, key);
  return top && top.kind !== 'event' ? top : null;
}

/** An entry by its id and fields, as the stream holds it and the channel tells it; null when it is none of ours. */
export function parseEntry(id: string, fields: readonly string[]): Entry | null {
  const [epoch = NaN, seq = NaN] = id.split('-').map(Number);
  if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(seq)) return null;
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
