import type { Socket } from 'node:net';

/** How a head begins that is none of an answer yet: 100, 102, 103; with 101 another protocol begins. */
const begins = /^HTTP\/1\.[01] 1(?!01)\d\d/;
const shortest = 'HTTP/1.1 100'.length;
const endOfHead = '\r\n\r\n';
/** Longer is no head that says nothing. */
const MOST_HEAD_BYTES = 4_096;

interface Awaiting {
  /** Whether the first byte of an answer is waited for. */
  isAwaited: () => boolean;
  /** It was said that somebody is at it. */
  heard: () => void;
}

/**
 * Takes what is no answer yet out of what a socket brings before one. Nobody has asked for `100 Continue` (`Expect`); some
 * servers and proxies say it to every POST, and undici breaks the connection at it. To be called before undici has the
 * socket: what is left is put back for it to read.
 */
export function passOverContinue(socket: Socket, { isAwaited, heard }: Awaiting): void {
  let partial: Buffer | undefined;
  socket.on('readable', () => {
    if (!isAwaited()) return;
    const piece = socket.read() as Buffer | null;
    if (piece === null) return;
    let bytes = partial ? Buffer.concat([partial, piece]) : piece;
    partial = undefined;
    while (begins.test(bytes.toString('latin1', 0, shortest))) {
      const end = bytes.indexOf(endOfHead);
      if (end < 0) break;
      heard();
      bytes = bytes.subarray(end + endOfHead.length);
    }
    if (mayBeOne(bytes)) partial = bytes;
    else if (bytes.length > 0) socket.unshift(bytes);
  });
}

/** Whether it is the beginning of one, whose end has not come yet. */
function mayBeOne(bytes: Buffer): boolean {
  if (bytes.length === 0 || bytes.length > MOST_HEAD_BYTES) return false;
  const text = bytes.toString('latin1', 0, shortest);
  return (
    begins.test(text) || (text.length < shortest && begins.test(text + 'HTTP/1.1 100'.slice(text.length)))
  );
}
