import { jsonValue } from '../../../../core/text/json-text.ts';
import { isDone } from '../../../../core/judge/apart.ts';
import { McpctlError } from '../../../../core/errors.ts';
import { GrowingBytes } from '../../../../core/text/growing-bytes.ts';
import { LARGEST_ANSWER_BYTES } from '../../../../core/text/large-body.ts';
import { textOf } from './text.ts';

/** How long more is waited for behind what is whole, in milliseconds. */
const moreMs = 1_000;

const blank = new Set([0x20, 0x09, 0x0a, 0x0d]);
/** Of an answer that is looked at for its end: what has more blanks behind it waits for its connection. */
const LAST_BYTES = 4_096;
const CLOSE_OBJECT = 0x7d;
const CLOSE_ARRAY = 0x5d;

interface Reading {
  /** Called with each piece. */
  heard: () => void;
  /** Of the caller, who does not want the answer any more once it is aborted. */
  signal: AbortSignal;
}

/**
 * All of a body as text. What is whole as JSON, or ends with `[DONE]`, is all of it, whatever its connection does then:
 * says a length that is never reached, breaks, or stays open and silent.
 * @throws what reading throws before that.
 */
export async function entireText(
  bytes: AsyncIterable<Uint8Array>,
  { heard, signal }: Reading,
): Promise<string> {
  const reading = bytes[Symbol.asyncIterator]();
  const all = new GrowingBytes(LARGEST_ANSWER_BYTES);
  for (;;) {
    const next = reading.next();
    if (mayBeWhole(all.view()) && (await isLate(next)) && isWhole(textOf(all))) {
      next.catch(() => undefined); // whatever comes of it, nobody waits for it
      return textOf(all);
    }
    try {
      const read = await next;
      if (read.done === true) return textOf(all);
      heard();
      if (!all.append(read.value)) throw new McpctlError('unstorable_result');
    } catch (thrown) {
      if (signal.aborted || !isWhole(textOf(all))) throw thrown;
      return textOf(all);
    }
  }
}

/** Once for each whole answer: a timer that is taken back costs less than a signal that is aborted. */
function isLate(next: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, moreMs, true);
    const come = (): void => {
      clearTimeout(timer);
      resolve(false);
    };
    next.then(come, come);
  });
}

function mayBeWhole(bytes: Uint8Array): boolean {
  const end = bytes.subarray(-LAST_BYTES);
  const last = end[end.findLastIndex((byte) => !blank.has(byte))];
  return last === CLOSE_OBJECT || last === CLOSE_ARRAY;
}

/** A chunk of a stream is none, though it is JSON: others follow it. */
function isWhole(text: string): boolean {
  if (isDone(text.slice(text.trimEnd().lastIndexOf('[')))) return true;
  const value = jsonValue(text);
  if (typeof value !== 'object' || value === null) return false;
  const { choices } = value as { choices?: unknown };
  return (
    !Array.isArray(choices) ||
    !choices.some((choice) => typeof choice === 'object' && 'delta' in Object(choice))
  );
}
