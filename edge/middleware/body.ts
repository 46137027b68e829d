import type { Request, RequestHandler, Response } from 'express';
import { arrive } from '../body/arrive.ts';
import { decoderOf, inflate } from '../body/inflate.ts';
import { roomFor, type Room } from '../body/room.ts';
import type { Caps } from '../limits/caps.ts';
import { McpctlError } from '../../core/errors.ts';
import type { GrowingBytes } from '../../core/text/growing-bytes.ts';
import { shapeOf, turnFor } from '../../core/text/json-shape.ts';
import { actorOf, needStillThem } from '../http/context.ts';
import type { Gates } from '../limits/gates.ts';
import { inItsTurn } from '../limits/turns.ts';

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

const utf8 = new TextDecoder('utf-8', { fatal: true });

function decode(bytes: GrowingBytes): string {
  try {
    return utf8.decode(bytes.view());
  } catch (_thrown) {
    throw new McpctlError('invalid_json', 'The body is not valid UTF-8.');
  }
}

interface Reading {
  req: Request;
  res: Response;
  gates: Pick<Gates, 'inflating'>;
}

async function read({ req, res, gates }: Reading, room: Room): Promise<string> {
  checkType(req);
  const decoder = decoderOf(req);
  const declared = Number(req.headers['content-length'] ?? 0);
  if (declared > room.limit) throw new McpctlError('body_too_large');
  room.reserve(declared);
  const { userId } = actorOf(req);
  const sent = await arrive(req, room);
  try {
    const bytes = decoder
      ? await inItsTurn(gates.inflating, req, () => inflate(sent, decoder, { room, res }))
      : sent;
    try {
      await turnFor(bytes, userId);
      return decode(bytes);
    } finally {
      bytes.release();
    }
  } finally {
    sent.release();
  }
}

interface ReadBodyDeps {
  config: { bodyLimitBytes: number };
  caps: Caps;
  gates: Pick<Gates, 'inflating'>;
}

/**
 * Reads the body of any request into `context.text`, as the text it is, or refuses it: too large 413, not
 * JSON by its type 415, not UTF-8 400, over the caller's cap on bytes under way 429. Whether it parses is for
 * the route, which is given the `shape` of it: what parsing it would cost. What is left of a refused body is for the connection to get rid of (connections/last-answer.ts).
 */
export function readBody({ config, caps, gates }: ReadBodyDeps): RequestHandler {
  const limitBytes = config.bodyLimitBytes;
  return async (req, res, next) => {
    if (hasBody(req)) {
      const reserve = roomFor({ req, res, limit: limitBytes }, caps);
      const text = await read({ req, res, gates }, { limit: limitBytes, reserve });
      const { userId } = actorOf(req);
      req.context.shape = await shapeOf(text, userId);
      req.context.text = text;
      await turnFor(text, userId); // the next ones parse it
    }
    await needStillThem(req); // a body may take an hour
    next();
  };
}
