import { once } from 'node:events';
import { headOf, openRaw } from '../hostile/raw.ts';

/** More than lies between two ends of a connection, of which one takes little. */
export const LONG_BYTES = 16_000_000;
const TAKES_MS = 100;

/** Takes a piece of an answer, and the next one a while later. @returns when the first has come; `whole`: how much came until its end. */
export async function readSlowly(
  url: string,
  headers: readonly string[],
): Promise<{ whole: Promise<number> }> {
  const { port, pathname } = new URL(url);
  const raw = await openRaw(Number(port), { reads: false });
  const { socket, closed } = raw;
  let bytes = 0;
  socket.on('data', (piece: Buffer) => {
    bytes += piece.length;
    socket.pause();
    setTimeout(() => socket.resume(), TAKES_MS);
  });
  await raw.send(headOf(`GET ${pathname}`, null, ['connection: close', ...headers]));
  socket.resume();
  await once(socket, 'data');
  return { whole: closed.then(() => bytes) };
}
