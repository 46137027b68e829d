import { z } from 'zod';
import { parseEntry, type Entry } from './stream.ts';

const eventsSchema = z.tuple([z.int(), z.int(), z.array(z.string()).min(1)]);
const entrySchema = z.tuple([z.string(), z.array(z.string())]);

/**
 * The entries that a message on a task's channel tells: `[epoch, number of the first, events]`, or an end or a close
 * as `[id, fields]`. None when it is neither: then the record is read instead.
 */
export function parseMessage(text: string): Entry[] {
  const said = asJson(text);
  const events = eventsSchema.safeParse(said);
  if (events.success) {
    const [epoch, first, data] = events.data;
    return data.map((event, i) => ({ kind: 'event', epoch, seq: first + i, data: event }));
  }
  const raw = entrySchema.safeParse(said);
  const entry = raw.success ? parseEntry(...raw.data) : null;
  return entry ? [entry] : [];
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // no message of ours
  }
}
