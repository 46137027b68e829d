import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { piecesOf } from './pieces.ts';

/** How much of a body that nobody wants may still come, so that its sender gets to read the answer. */
const DRAIN_BYTES = 1024 * 1024;
/** Each costs time, however small it is. */
const DRAIN_PIECES = 200;
const DRAIN_MS = 2_000;
const LOOK_MS = 100;

/** Connections whose answer came before the end of its request's body. */
const draining = new WeakSet<Socket>();

/**
 * Node closes a connection by destroying it when its last answer is out; with bytes unread that is a reset, which takes
 * the answer from its reader. So while the rest of a body is drained only our half is closed.
 */
export function closeGently(socket: Socket): void {
  const destroySoon = socket.destroySoon.bind(socket);
  socket.destroySoon = () => {
    if (draining.has(socket)) socket.end();
    else destroySoon();
  };
}

/**
 * An answer that comes before the end of its request's body is the connection's last: it says so, the rest of the body
 * is drained within bounds and forgotten, and the connection is destroyed. Without that a body that was refused would
 * go on for as long as its sender likes.
 * @param keeps whether the connection may be kept after an answer to the whole request.
 */
export function endsWithItsAnswer(req: IncomingMessage, res: ServerResponse, keeps: () => boolean): void {
  const { shouldKeepAlive } = res;
  res.shouldKeepAlive = false;
  req.once('end', () => {
    if (!res.headersSent) res.shouldKeepAlive = shouldKeepAlive && keeps();
  });
  // Before Node's own, which would read on without end.
  res.prependOnceListener('finish', () => {
    if (!req.complete && !req.destroyed) drain(req);
  });
}

function drain(req: IncomingMessage): void {
  const { socket } = req;
  draining.add(socket);
  const most = socket.bytesRead + DRAIN_BYTES;
  const look = (): void => void (socket.bytesRead > most && socket.destroy());
  const looking = setInterval(look, LOOK_MS);
  const late = setTimeout(() => socket.destroy(), DRAIN_MS);
  socket.once('close', () => {
    clearInterval(looking);
    clearTimeout(late);
  });
  req.on('error', () => undefined); // nobody waits for it any more
  const before = piecesOf(req);
  let bytes = 0;
  req.on('data', (piece: Buffer) => {
    bytes += piece.length;
    // Of what the socket has read already the parser tells every piece; a request that is destroyed takes none.
    if (piecesOf(req) - before > DRAIN_PIECES || bytes > DRAIN_BYTES) req.destroy();
  });
  req.once('end', () => socket.destroy());
  req.read(0); // begun to be read, it is not Node's to read
  req.resume();
}
