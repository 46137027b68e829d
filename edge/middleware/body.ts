import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { Request, RequestHandler, Response } from 'express';
import { McpctlError } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import type { Caps } from '../caps.ts';

/** How long a body that is refused may go on arriving, so that its sender gets to read the refusal. */
const DRAIN_MS = 10_000;
/** A body that has not arrived by then does not. */
const ARRIVES_WITHIN_MS = 300_000;

const hasBody = (req: Request): boolean =>
  req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;

function checkType(req: Request): void {
  if (req.method === 'GET' || req.method === 'HEAD' || req.method === 'DELETE') return;
  const [type = '', ...parameters] = (req.get('content-type') ?? '').toLowerCase().split(';');
  const charset = parameters.map((p) => p.trim()).find((p) => p.startsWith('charset='));
  const isJson = /^application\/([\w.-]+\+)?json$/.test(type.trim());
  const isUtf8 = charset === undefined || /^charset="?utf-?8"?$/.test(charset);
  if (!isJson || !isUtf8) throw new McpctlError('unsupported_media_type');
}

function inflated(req: Request): Readable {
  const encoding = (req.get('content-encoding') ?? 'identity').trim().toLowerCase();
  switch (encoding) {
    case 'identity':
      return req;
    case 'gzip':
    case 'x-gzip':
      return req.pipe(createGunzip());
    case 'deflate':
      return req.pipe(createInflate());
    case 'br':
      return req.pipe(createBrotliDecompress());
    default:
      throw new McpctlError(
        'unsupported_media_type',
        'Send the body plain, or with content-encoding gzip, deflate or br.',
      );
  }
}

/** Lets the rest of a refused body arrive and forgets it; one that does not end closes the connection. */
async function drain(req: Request, res: Response): Promise<void> {
  if (req.complete || req.destroyed) return;
  req.unpipe();
  req.resume();
  const ended = new AbortController();
  const done = (): void => ended.abort();
  req.once('end', done).once('close', done);
  await pause(DRAIN_MS, ended.signal);
  if (!req.complete) res.set('connection', 'close');
}

/** What a body may take. */
interface Room {
  limit: number;
  /** Makes sure of room for so many bytes in all. @throws McpctlError `too_many_requests`. */
  reserve: (bytes: number) => void;
}

/** Counts what comes out, so that a small body cannot inflate into a large one. */
async function collect(from: Readable, { limit, reserve }: Room): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  let late: NodeJS.Timeout | undefined;
  const whole = new Promise<void>((resolve, reject) => {
    const message = 'The body did not arrive in time.';
    late = setTimeout(() => reject(new McpctlError('invalid_request', message)), ARRIVES_WITHIN_MS);
    from.on('data', (chunk: Buffer) => {
      size += chunk.length;
      try {
        if (size > limit) throw new McpctlError('body_too_large');
        reserve(size);
        chunks.push(chunk);
      } catch (thrown) {
        from.removeAllListeners('data');
        chunks.length = 0;
        reject(thrown instanceof McpctlError ? thrown : new McpctlError('internal'));
      }
    });
    from.once('end', resolve);
    from.once('error', reject);
    from.once('close', () => {
      if (!from.readableEnded) reject(new McpctlError('invalid_request', 'The body did not arrive whole.'));
    });
  });
  await whole.finally(() => clearTimeout(late));
  return Buffer.concat(chunks, size);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function decode(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch (_thrown) {
    throw new McpctlError('invalid_json', 'The body is not valid UTF-8.');
  }
}

async function read(req: Request, room: Room): Promise<string> {
  checkType(req);
  const declared = Number(req.headers['content-length'] ?? 0);
  if (declared > room.limit) throw new McpctlError('body_too_large');
  room.reserve(declared);
  const source = inflated(req);
  try {
    return decode(await collect(source, room));
  } catch (thrown) {
    if (source !== req) source.destroy();
    if (thrown instanceof McpctlError) throw thrown;
    throw new McpctlError('invalid_request', 'The body could not be read as its content-encoding says.');
  }
}

/** Room under the caller's cap until the answer is complete; on public paths there is no caller, nor a cap. */
function roomFor({ req, res }: { req: Request; res: Response }, caps: Caps | undefined): Room['reserve'] {
  const { actor } = req.context;
  if (!caps || !actor) return () => undefined;
  const releases: (() => void)[] = [];
  res.once('close', () => releases.forEach((release) => release()));
  let reserved = 0;
  return (bytes) => {
    if (bytes <= reserved || res.destroyed) return;
    releases.push(caps.hold(actor, { bytes: bytes - reserved, streaming: false }));
    reserved = bytes;
  };
}

/**
 * Reads the body of any request into `context.text`, as the text it is, or refuses it: too large 413, not
 * JSON by its type 415, not UTF-8 400, over the caller's cap on bytes under way 429. Whether it parses is for
 * the route.
 */
export function readBody({ limitBytes, caps }: { limitBytes: number; caps?: Caps }): RequestHandler {
  return async (req, res, next) => {
    if (hasBody(req)) {
      try {
        const reserve = roomFor({ req, res }, caps);
        req.context.text = await read(req, { limit: limitBytes, reserve });
      } catch (thrown) {
        await drain(req, res);
        throw thrown;
      }
    }
    next();
  };
}
