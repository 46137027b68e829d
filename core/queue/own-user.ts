import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { AbstractConnector, type RedisOptions } from 'ioredis';
import { McpctlError } from '../errors.ts';

/** A Redis user that was made for a provider session. */
export interface OwnUser {
  username: string;
  password: string;
  /** Redis does not know it, at each try: it was taken away, or is not made again yet after Redis was lost. */
  onRefused: () => void;
}

const HANDSHAKE_MS = 3_000;
const MOST_BYTES = 4_096;

const bulk = (words: readonly string[]): string =>
  `*${String(words.length)}\r\n${words.map((word) => `$${String(Buffer.byteLength(word))}\r\n${word}\r\n`).join('')}`;

/**
 * Signs in before ioredis gets the socket. Left to itself it fails all that waits when it is refused; a user that is not
 * known at the moment is the same to us as a Redis that is not there: what waits, waits until it is. A Redis that is
 * still loading is not there either.
 */
export function signInAs({
  username,
  password,
  onRefused,
}: OwnUser): new (options: unknown) => AbstractConnector {
  return class extends AbstractConnector {
    readonly #options: RedisOptions;

    constructor(options: unknown) {
      const given = options as RedisOptions & { disconnectTimeout?: number };
      super(given.disconnectTimeout ?? 2_000);
      this.#options = given;
    }

    /** Never rejects, or ioredis would not try again: a socket that is destroyed says that it did not work. */
    async connect(): Promise<Socket> {
      this.connecting = true;
      const { host = '127.0.0.1', port = 6379, family, tls } = this.#options;
      const at = { host, port, ...(family === undefined ? {} : { family }) };
      const socket = tls ? connectTls({ ...at, ...(tls satisfies ConnectionOptions) }) : createConnection(at);
      this.stream = socket;
      delete this.firstError;
      // Stays: between here and ioredis nobody else hears it.
      socket.on('error', (error: Error) => (this.firstError ??= error));
      const late = setTimeout(() => socket.destroy(new Error('it does not answer')), HANDSHAKE_MS);
      const gone = new AbortController();
      socket.once('close', () => gone.abort());
      try {
        await once(socket, tls ? 'secureConnect' : 'connect', { signal: gone.signal });
        socket.write(bulk(['AUTH', username, password]) + bulk(['PING']));
        const [auth = '', ping = ''] = await linesOf(socket, gone.signal);
        if (auth !== '+OK') onRefused();
        if (auth !== '+OK' || ping !== '+PONG')
          socket.destroy(new Error(`it refused the user ${username}: ${auth === '+OK' ? ping : auth}`));
      } catch (thrown) {
        socket.destroy(thrown instanceof Error ? thrown : undefined);
      } finally {
        clearTimeout(late);
      }
      // Its error is emitted by the next tick; ioredis looks for it at once.
      if (socket.destroyed) this.firstError ??= socket.errored ?? new Error('Connection is closed.');
      return socket;
    }
  };
}

/** The two lines that answer the two commands. @throws when the socket ends before. */
async function linesOf(socket: Socket, gone: AbortSignal): Promise<string[]> {
  let text = '';
  while (text.split('\r\n').length < 3) {
    const [chunk] = (await once(socket, 'data', { signal: gone })) as [Buffer];
    text += chunk.toString();
    if (text.length > MOST_BYTES) throw new McpctlError('unavailable', 'it is no Redis');
  }
  socket.pause();
  return text.split('\r\n');
}
