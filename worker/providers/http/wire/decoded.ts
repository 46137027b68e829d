import { pipeline, Readable, type Duplex } from 'node:stream';
import { createBrotliDecompress, createUnzip } from 'node:zlib';
import { McpctlError } from '../../../../core/errors.ts';

/** Answers are asked for as they are (`accept-encoding: identity`); some servers and proxies encode them all the same. */
const decoders: Readonly<Record<string, () => Duplex>> = {
  gzip: createUnzip,
  'x-gzip': createUnzip,
  deflate: createUnzip,
  br: createBrotliDecompress,
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

/**
 * The bytes of an answer without their content-encoding.
 * @throws McpctlError `backend_error` for an encoding that is not known here, and for bytes that are not in it; what
 * `bytes` throws.
 */
export function decoded({ bytes, encoding, heard }: Encoded): AsyncIterable<Uint8Array> {
  const encodings = String(encoding ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'identity');
  if (encodings.length === 0) return bytes;
  const makers = encodings.map((name) => (Object.hasOwn(decoders, name) ? decoders[name] : undefined));
  if (makers.length > mostEncodings || makers.includes(undefined)) {
    const named = encodings.join(', ').slice(0, 64);
    const message = `The backend encodes its answers as ${named}, which is not read here; turn that off there.`;
    throw new McpctlError('backend_error', message);
  }
  return through(
    hearing(bytes, heard),
    makers.reverse().flatMap((make) => (make ? [make()] : [])),
  );
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
