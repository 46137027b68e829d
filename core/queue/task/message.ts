import { z } from 'zod';
import { eventsOf, parseEntry, parseId, type Entry } from './stream.ts';

const entrySchema = z.tuple([z.string(), z.array(z.string())]);

/**
 * The entry that a message on a task's channel tells: the id of the first of some events (with the tag of
 * their claim), then the events, a line each; or, for an end or a close, `[id, fields]` as JSON. Null when it is neither: then the record is read instead.
 */
export function parseMessage(text: string): Entry | null {
  if (text.startsWith('[')) return parseEnd(text);
  const line = text.indexOf('\n');
  const first = line < 0 ? null : parseId(text.slice(0, line));
  if (!first) return null;
  const data = eventsOf(text.slice(line + 1));
  return { kind: 'events', ...first, seq: first.seq + data.length - 1, data };
}

function parseEnd(text: string): Entry | null {
  try {
    const raw = entrySchema.safeParse(JSON.parse(text));
    const entry = raw.success ? parseEntry(...raw.data) : null;
    return entry?.kind === 'events' ? null : entry;
  } catch {
    return null; // no message of ours
  }
}
