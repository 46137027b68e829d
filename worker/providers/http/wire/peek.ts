/** Some bytes, and the first character of them that is neither space nor a byte order mark; '' where there is none. */
export interface Peeked {
  first: string;
  /** All of them, those that were looked at too, but for pieces of nothing but blanks before. */
  bytes: AsyncIterable<Uint8Array>;
}

const blank = new Set([0x20, 0x09, 0x0a, 0x0d, 0xef, 0xbb, 0xbf]);

/** Reads as little as tells what begins there. @throws what reading throws. */
export async function peeked(bytes: AsyncIterable<Uint8Array>): Promise<Peeked> {
  const reading = bytes[Symbol.asyncIterator]();
  const seen: Uint8Array[] = [];
  let first = '';
  while (first === '') {
    const next = await reading.next();
    if (next.done === true) break;
    const at = next.value.findIndex((byte) => !blank.has(byte));
    if (at < 0) continue; // blanks before an answer only say that somebody is at it
    seen.push(next.value);
    first = String.fromCharCode(next.value[at] ?? 0);
  }
  return { first, bytes: replayed(seen, reading) };
}

/** What was read of some bytes already, then the rest of them. Each layer of generators costs every event some turns, so this is none. */
export function replayed(seen: Uint8Array[], reading: AsyncIterator<Uint8Array>): AsyncIterable<Uint8Array> {
  const next = (): Promise<IteratorResult<Uint8Array>> => {
    const piece = seen.shift();
    return piece ? Promise.resolve({ done: false, value: piece }) : reading.next();
  };
  const leave = async (): Promise<IteratorResult<Uint8Array>> =>
    (await reading.return?.()) ?? { done: true, value: undefined };
  return { [Symbol.asyncIterator]: () => ({ next, return: leave }) };
}
