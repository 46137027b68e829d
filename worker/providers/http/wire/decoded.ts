import { pipeline, Readable, type Duplex } from 'node:stream';
import * as zlib from 'node:zlib';
import { McpctlError } from '../../../../core/errors.ts';
import { replayed } from './peek.ts';

/** Answers are asked for as they are (`accept-encoding: identity`); some servers and proxies encode them all the same. */
const decoders: Readonly<Record<string, (() => Duplex) | undefined>> = {
  gzip: zlib.createUnzip,
  'x-gzip': zlib.createUnzip,
  deflate: zlib.createUnzip,
  br: zlib.createBrotliDecompress,
  // Node has it from 22.15 on; an older one says that nobody here reads it.
  zstd: (zlib as { createZstdDecompress?: () => Duplex }).createZstdDecompress,
};

/** More, one within the other, are nobody's honest answer. */
const mostEncodings = 2;

export interface Encoded {
  bytes: AsyncIterable<Uint8Array>;
  /** The header that names it. */
  encoding: string | string[] | undefined;
  /** Bytes came, whether or not they make any without their encoding: what it is flushed with makes none. */
  heard: () => void;
}

/** What says that there is one, and is none (`content-encoding: utf-8`, what S3 and some proxies leave behind). */
const plainNames = new Set(['identity', 'none', 'utf-8', 'utf8', 'binary', 'chunked', 'aws-chunked']);

/** As many bytes as tell an encoding from what it encodes. */
const TELLING = 8;
/** What an encoding begins with, and no text does. */
const marks = [
  { first: 0x1f, second: 0x8b, name: 'gzip' },
  { first: 0x28, second: 0xb5, name: 'zstd' },
];
/** How answers begin that are encoded by nothing: JSON, an event stream, a page. */
const plain = /^(?:\xef\xbb\xbf)?\s*(?:\{\s*["}]|\[\s*[[{"\]]|data:|event:|id:|retry:|:|<[!a-z])/i;

/**
 * The bytes of an answer without their content-encoding. What it begins with counts more than the header: proxies leave
 * `gzip` standing over what they have decoded (stoplightio/prism#1272), and encode errors without a word
 * (apache/trafficcontrol#1737).
 * @throws McpctlError `backend_error` for an encoding that is not known here, and for bytes that are not in it; what
 * `bytes` throws.
 */
export function decoded({ bytes, encoding, heard }: Encoded): AsyncIterable<Uint8Array> {
  const names = String(encoding ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && !plainNames.has(name));
  const reading = bytes[Symbol.asyncIterator]();
  let opened: AsyncIterator<Uint8Array> | undefined;
  const open = async (seen: Uint8Array[]): Promise<AsyncIterator<Uint8Array>> => {
    const begins = await beginning(reading, { seen, isEncoded: names.length > 0, heard });
    const all = replayed(seen, reading);
    const marked = marks.find(({ first, second }) => begins[0] === first && begins[1] === second);
    if (marked && names.length < 2) return through(hearing(all, heard), stepsOf([marked.name], begins));
    if (names.length === 0 || plain.test(begins.toString('latin1'))) return all[Symbol.asyncIterator]();
    return through(hearing(all, heard), stepsOf(names, begins));
  };
  const first = async (): Promise<IteratorResult<Uint8Array>> => {
    if (names.length > 0) return (opened = await open([])).next();
    const next = await reading.next();
    // As nearly all answers are: what comes of these costs no turn of the loop more.
    if (next.done === true || beginsPlain(next.value)) {
      opened = reading;
      return next;
    }
    return (opened = await open([next.value])).next();
  };
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => opened?.next() ?? first(),
      return: async () => (await (opened ?? reading).return?.()) ?? { done: true, value: undefined },
    }),
  };
}

const beginsPlain = (piece: Uint8Array): boolean =>
  piece.byteLength > 0 && !marks.some(({ first }) => first === piece[0]);

/** Reads as little as tells what begins there, behind what was seen: two bytes where nothing is said of an encoding. */
async function beginning(
  reading: AsyncIterator<Uint8Array>,
  { seen, isEncoded, heard }: { seen: Uint8Array[]; isEncoded: boolean; heard: () => void },
): Promise<Buffer> {
  let begins = Buffer.concat(seen.map((piece) => piece.subarray(0, TELLING)));
  const isTold = (): boolean =>
    isEncoded
      ? begins.length >= TELLING || plain.test(begins.toString('latin1'))
      : begins.length >= 2 || beginsPlain(begins);
  while (!isTold()) {
    const next = await reading.next();
    if (next.done === true) break;
    if (isEncoded) heard();
    seen.push(next.value);
    begins = Buffer.concat([begins, next.value.subarray(0, TELLING)]);
  }
  return begins;
}

function stepsOf(names: readonly string[], begins: Buffer): Duplex[] {
  const makers = names.map((name) => (Object.hasOwn(decoders, name) ? decoders[name] : undefined));
  if (makers.length > mostEncodings || makers.includes(undefined)) {
    const named = names.join(', ').slice(0, 64);
    const message = `The backend encodes its answers as ${named}, which is not read here; turn that off there.`;
    throw new McpctlError('backend_error', message);
  }
  // Some mean deflate by deflate, where the header of zlib should stand before it.
  if (names.length === 1 && names[0] === 'deflate' && ((begins[0] ?? 0) & 0x0f) !== 8)
    return [zlib.createInflateRaw()];
  return makers.reverse().flatMap((make) => (make ? [make()] : []));
}

async function* hearing(
  bytes: AsyncIterable<Uint8Array>,
  heard: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of bytes) {
    heard();
    yield piece;
  }
}

async function* through(
  bytes: AsyncIterable<Uint8Array>,
  steps: readonly Duplex[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const last = steps.at(-1);
  if (!last) return;
  // With an end comes the error of whichever step failed, and nothing is left open.
  pipeline([Readable.from(bytes, { objectMode: true }), ...steps], () => undefined);
  try {
    yield* last as AsyncIterable<Uint8Array>;
  } catch (thrown) {
    const isBad = thrown instanceof Error && 'code' in thrown && /^(Z_|ERR_)/.test(String(thrown.code));
    const isEarly = isBad && thrown.code === 'ERR_STREAM_PREMATURE_CLOSE';
    if (!isBad || isEarly) throw thrown;
    throw new McpctlError(
      'backend_error',
      'The backend says that its answer is encoded, and it is not, or is cut off.',
    );
  }
}
