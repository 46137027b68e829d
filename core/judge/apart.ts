import { jsonValue, membersAt } from '../text/json-text.ts';
import type { SseEvent } from '../text/sse.ts';

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
  const filled = lines.filter((line) => line.trim() !== '');
  const areAll = filled.every((line) => isDone(line) || jsonValue(line) !== undefined);
  return areAll ? filled.map((line) => ({ ...event, data: line })) : [event];
}

/**
 * The events that a backend has run together on one line, with `data:` between them or without; undefined where that is
 * not what the text is. What is cut off in the middle is no event, nor is what follows it.
 */
export function runTogether(event: SseEvent): readonly SseEvent[] | undefined {
  const { data } = event;
  const texts: string[] = [];
  let at = 0;
  while (at < data.length && texts.length <= MOST_TOGETHER) {
    const start = at + (between.exec(data.slice(at, at + MOST_BETWEEN))?.[0].length ?? 0);
    const end = start === data.length ? start : endOf(data, start);
    if (end === undefined) return undefined;
    if (end > start) texts.push(data.slice(start, end));
    at = end;
  }
  const areAll = at >= data.length && texts.every((text) => isDone(text) || jsonValue(text) !== undefined);
  return texts.length > 1 && areAll ? texts.map((text) => ({ ...event, data: text })) : undefined;
}

const between = /^(?:\s|data:)*/;
const MOST_BETWEEN = 64;
/** Nobody runs together more by mistake. */
const MOST_TOGETHER = 4_096;

/** Where the object that begins there ends, or the mark of the end. */
function endOf(text: string, start: number): number | undefined {
  const mark = /^\[done\]/i.exec(text.slice(start, start + 6));
  if (mark) return start + mark[0].length;
  return text[start] === '{' ? membersAt(text, start)?.end : undefined;
}
