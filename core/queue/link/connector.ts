import { once } from 'node:events';
import { createConnection, Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { AbstractConnector, type RedisOptions } from 'ioredis';
import { McpctlError, messageOf } from '../../errors.ts';
import type { Address } from './ask-all.ts';

/** A Redis user that was made for a provider session. */
export interface OwnUser {
  username: string;
  password: string;
  /** Redis does not know it, at each try: it was taken away, or is not made again yet after Redis was lost. */
  onRefused: () => void;
}

export interface Connecting {
  /** Where the primary is, asked at each try; undefined = where the URL says, which may name a Unix socket. */
  primary?: (() => Promise<Address>) | undefined;
  user?: OwnUser | undefined;
}

const HANDSHAKE_MS = 3_000;
const MOST_BYTES = 4_096;

const bulk = (words: readonly string[]): string =>
  `*${String(words.length)}\r\n${words.map((word) => `$${String(Buffer.byteLength(word))}\r\n${word}\r\n`).join('')}`;

/**
 * Dials, and signs a session's own user in, before ioredis gets the socket. Left to itself ioredis fails all that waits
 * when it is refused; a user that is not known at the moment is the same to us as a Redis that is not there: what
 * waits, waits until it is. A Redis that is still loading is not there either, nor is one that Sentinels name and
 * that is not the primary any more, or not yet.
 */
export function connectorFor({ primary, user }: Connecting): new (options: unknown) => AbstractConnector {
  return class extends AbstractConnector {
    readonly #options: RedisOptions;

    constructor(options: unknown) {
      const given = options as RedisOptions & { disconnectTimeout?: number };
      super(given.disconnectTimeout ?? 2_000);
      this.#options = given;
    }

    /** What INFO says, where the own user of the house asks for it. */
    override check(info: { role?: string }): boolean {
      return primary === undefined || info.role === undefined || info.role === 'master';
    }

    /** Never rejects, or ioredis would not try again: a socket that is destroyed says that it did not work. */
    async connect(): Promise<Socket> {
      this.connecting = true;
      delete this.firstError;
      const socket = await this.#dial();
      if (this.#isClosed()) socket.destroy(); // meanwhile, when there was no stream to close
      this.stream = socket;
      // Stays: between here and ioredis nobody else hears it.
      socket.on('error', (error: Error) => (this.firstError ??= error));
      if (user && !socket.destroyed)
        await signIn(socket, { user, isTls: Boolean(this.#options.tls), primaryOnly: primary !== undefined });
      // Its error is emitted by the next tick; ioredis looks for it at once.
      if (socket.destroyed) this.firstError ??= socket.errored ?? new Error('Connection is closed.');
      return socket;
    }

    #isClosed(): boolean {
      return !this.connecting;
    }

    async #dial(): Promise<Socket> {
      await Promise.resolve(); // closed in the same breath, it asks nobody
      if (this.#isClosed()) return new Socket().destroy();
      const { host = '127.0.0.1', port = 6379, path, family, tls } = this.#options;
      if (!primary && typeof path === 'string') return createConnection({ path });
      let at: Address = { host, port };
      try {
        if (primary) at = await primary();
      } catch (thrown) {
        this.firstError = new Error(messageOf(thrown));
        return new Socket().destroy();
      }
      const to = { ...at, ...(family === undefined ? {} : { family }) };
      return tls ? connectTls({ ...to, ...(tls satisfies ConnectionOptions) }) : createConnection(to);
    }
  };
}

async function signIn(
  socket: Socket,
  { user, isTls, primaryOnly }: { user: OwnUser; isTls: boolean; primaryOnly: boolean },
): Promise<void> {
  const { username, password, onRefused } = user;
  const late = setTimeout(() => socket.destroy(new Error('it does not answer')), HANDSHAKE_MS);
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  const commands = [['AUTH', username, password], ...(primaryOnly ? [['HELLO']] : []), ['PING']];
  try {
    await once(socket, isTls ? 'secureConnect' : 'connect', { signal: gone.signal });
    socket.write(commands.map(bulk).join(''));
    const { auth, role, ping } = await answersOf(socket, gone.signal);
    if (auth !== '+OK') onRefused();
    if (auth !== '+OK' || ping !== '+PONG')
      socket.destroy(new Error(`it refused the user ${username}: ${auth === '+OK' ? ping : auth}`));
    else if (role === 'replica')
      socket.destroy(new Error('it is a replica: the Sentinels have not agreed on another primary yet'));
  } catch (thrown) {
    socket.destroy(thrown instanceof Error ? thrown : undefined);
  } finally {
    clearTimeout(late);
  }
}

/** The first line answers AUTH, the last one PING; HELLO, which anybody may ask, tells the role. @throws when the socket ends before. */
async function answersOf(
  socket: Socket,
  gone: AbortSignal,
): Promise<{ auth: string; role: string | undefined; ping: string }> {
  let text = '';
  for (;;) {
    const [chunk] = (await once(socket, 'data', { signal: gone })) as [Buffer];
    text += chunk.toString();
    if (text.length > MOST_BYTES) throw new McpctlError('unavailable', 'it is no Redis');
    const lines = text.split('\r\n');
    const [auth = ''] = lines;
    const ping = lines.length > 2 ? (lines.at(-2) ?? '') : '';
    const isWhole = lines.at(-1) === '' && /^(\+PONG|-)/.test(ping);
    if (!isWhole && !(auth.startsWith('-') && lines.length > 1)) continue;
    socket.pause();
    return { auth, role: /\r\nrole\r\n\$\d+\r\n(\w+)/.exec(text)?.[1], ping };
  }
}
