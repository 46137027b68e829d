import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A connection that sends bytes as they are. */
export interface Raw {
  socket: Socket;
  /** Bytes handed to the kernel so far. */
  sent: () => number;
  /** Sends as fast as they are taken; ends early when the other side has closed. */
  send(piece: string | Buffer): Promise<void>;
  closed: Promise<void>;
  isOpen: () => boolean;
}

/** To a loopback address alone. @param reads whether what comes is read. */
export async function openRaw(port: number, { reads = true }: { reads?: boolean } = {}): Promise<Raw> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined); // a reset is an end like another
  if (reads) socket.resume();
  else socket.pause();
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await Promise.race([once(socket, 'connect'), closed]);
  return {
    socket,
    sent: () => socket.bytesWritten - socket.writableLength,
    closed,
    isOpen: () => !socket.destroyed,
    async send(piece) {
      if (socket.destroyed || socket.write(piece)) return;
      const taken = new AbortController();
      await Promise.race([once(socket, 'drain', { signal: taken.signal }).catch(() => undefined), closed]);
      taken.abort();
    },
  };
}

/** The head of a request. */
export function headOf(what: string, token: string | null, headers: readonly string[] = []): string {
  const auth = token === null ? [] : [`authorization: Bearer ${token}`];
  return [`${what} HTTP/1.1`, 'host: localhost', ...auth, ...headers, '', ''].join('\r\n');
}
