import type { SseEvent } from '../text/sse.ts';
import { jsonValue } from './parts/reason.ts';

/** However a backend writes it. */
export const isDone = (text: string): boolean => text.length < 32 && text.trim().toUpperCase() === '[DONE]';

/**
 * The events in one, where a backend has left out the blank lines between them, or has put `data:` before what had it
 * already: each line that is JSON, or the mark of the end, is one. One whose lines are together a text of JSON is itself.
 */
export function apart(event: SseEvent): readonly SseEvent[] {
  const { data } = event;
  if (!data.includes('\n') && !data.startsWith('data:')) return [event];
  if (jsonValue(data) !== undefined) return [event];
  const lines = data.split('\n').map((line) => line.replace(/^(?:data:\s*)+/, ''));
  const said = lines.filter((line) => line.trim() !== '');
  const areAll = said.every((line) => isDone(line) || jsonValue(line) !== undefined);
  return areAll ? said.map((line) => ({ ...event, data: line })) : [event];
}
