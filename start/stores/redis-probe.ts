import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

const PROBE_MS = 5_000;

/** What answered at the URL. */
export type RedisAnswer =
  { kind: 'ready'; version: string } | { kind: 'loading' } | { kind: 'refused'; reason: string };

/**
 * Asks a Redis who it is: two commands over a plain socket, because start/ has no Redis client.
 * @param tls of a `rediss://` URL: whether its certificate must be trusted, and by whom if not by the public.
 */
export function probeRedis(
  url: string,
  { verifyTls = true, ca }: { verifyTls?: boolean; ca?: string | undefined } = {},
): Promise<RedisAnswer> {
  const { protocol, hostname, port, username, password } = new URL(url);
  const target = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 6379) };
  const auth = password === '' ? [] : ['AUTH', ...(username === '' ? [] : [username]), password];
  const commands = [auth.map(decodeURIComponent), ['INFO', 'server']].filter((c) => c.length > 0);
  return new Promise((resolve) => {
    const socket: Socket =
      protocol === 'rediss:'
        ? connectTls({ ...target, rejectUnauthorized: verifyTls, ...(ca === undefined ? {} : { ca }) })
        : connectTcp(target);
    let text = '';
    const finish = (answer: RedisAnswer): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(PROBE_MS, () => finish({ kind: 'refused', reason: 'it did not answer in time' }));
    socket.on('error', (error) => finish({ kind: 'refused', reason: error.message }));
    socket.on('close', () => finish({ kind: 'refused', reason: 'it closed the connection' }));
    socket.on('data', (part: Buffer) => {
      text += part.toString('latin1');
      const answer = read(text);
      if (answer) finish(answer);
    });
    socket.write(commands.map(encode).join(''));
  });
}

function encode(parts: readonly string[]): string {
  return `*${parts.length}\r\n${parts.map((p) => `$${Buffer.byteLength(p)}\r\n${p}\r\n`).join('')}`;
}

function read(text: string): RedisAnswer | undefined {
  const fault = /^-(.*)\r\n/m.exec(text)?.[1];
  if (fault !== undefined) {
    return fault.startsWith('LOADING') ? { kind: 'loading' } : { kind: 'refused', reason: fault };
  }
  // Valkey also claims a redis_version, for old clients: its own comes later in the answer.
  if (!text.includes('# Server') || !text.endsWith('\r\n')) return undefined;
  const version = /^redis_version:(\S+)/m.exec(text)?.[1];
  return version === undefined ? undefined : { kind: 'ready', version };
}
