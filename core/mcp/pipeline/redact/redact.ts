import { Machine } from './machine.ts';

const MOST_PATTERNS = 32;
const machines = new Map<string, Machine>();

/** @throws SyntaxError a sentence. Those that were used last are kept. */
function machineFor(patterns: readonly string[]): Machine {
  const key = JSON.stringify(patterns);
  const machine = machines.get(key) ?? new Machine(patterns);
  machines.delete(key);
  machines.set(key, machine);
  for (const oldest of machines.keys()) if (machines.size > MOST_PATTERNS) machines.delete(oldest);
  return machine;
}

/** What stands for what is not shown. */
const REDACTED = '[redacted]';

/** Given a text, the same without what the patterns find. */
export type Redact = (text: string) => Promise<string>;

/**
 * @param breathe is awaited now and then, and breaks it off by throwing.
 * @returns what rejects with `TooComplex` for a text in which that cannot be found.
 */
export function redactWith(patterns: readonly string[], breathe: () => Promise<void>): Redact {
  const machine = machineFor(patterns);
  return async (text) => {
    const runs = await machine.runs(text, breathe);
    let redacted = '';
    let at = 0;
    for (const [from, to] of runs) {
      // A half of a character is none.
      const begin = isPair(text, from) ? from - 1 : from;
      redacted += text.slice(at, Math.max(at, begin)) + REDACTED;
      at = isPair(text, to) ? to + 1 : to;
    }
    return redacted + text.slice(at);
  };
}

/** Whether a place is in the middle of a surrogate pair. */
export const isPair = (text: string, at: number): boolean =>
  (text.charCodeAt(at - 1) & 0xfc_00) === 0xd8_00 && (text.charCodeAt(at) & 0xfc_00) === 0xdc_00;

/** Says what is wrong with the patterns together; null: nothing. */
export function patternFault(patterns: readonly string[]): string | null {
  try {
    machineFor(patterns);
    return null;
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return thrown.message;
    throw thrown;
  }
}

/** What is no text for people, by the thing that has it. */
function isPlain(key: string, of: Readonly<Record<string, unknown>>): boolean {
  if (key === 'type' || key === 'mimeType') return true;
  if (key === 'data') return of['type'] === 'image' || of['type'] === 'audio';
  return key === 'blob' && typeof of['uri'] === 'string';
}

/** All texts in a value, but no keys, types, nor data of pictures and the like. Where nothing is found it is the same value. */
export async function redactDeep(value: unknown, redact: Redact): Promise<unknown> {
  if (typeof value === 'string') return await redact(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items: unknown[] = [];
    for (const item of value) items.push(await redactDeep(item, redact));
    return items.every((item, n) => item === value[n]) ? value : items;
  }
  const object = value as Readonly<Record<string, unknown>>;
  const entries: [string, unknown][] = [];
  let isSame = true;
  for (const [key, inner] of Object.entries(object)) {
    const shown = isPlain(key, object) ? inner : await redactDeep(inner, redact);
    isSame &&= shown === inner;
    entries.push([key, shown]);
  }
  return isSame ? value : Object.fromEntries(entries);
}
