import { anySignal } from '../../core/runtime/any-signal.ts';
import { connect } from 'node:net';
import { Client } from 'undici';

const LISTEN_WITHIN_MS = 1_000;
const ANSWER_WITHIN_MS = 3_000;

/** Whether anybody takes connections there. */
export function isListening(url: URL, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
    const socket = connect({ host: url.hostname.replace(/^\[|\]$/g, ''), port });
    const done = (listens: boolean): void => {
      signal.removeEventListener('abort', leave);
      socket.destroy();
      resolve(listens);
    };
    const leave = (): void => done(false);
    signal.addEventListener('abort', leave, { once: true });
    socket.setTimeout(LISTEN_WITHIN_MS, leave);
    socket.once('connect', () => done(true));
    socket.on('error', leave);
  });
}

/** Whether a GET of that path is answered with 2xx. Never throws: what says something else than HTTP is not ready either. */
export async function answersAt(
  { origin }: URL,
  { path, key, signal }: { path: string; key: string | undefined; signal: AbortSignal },
): Promise<boolean> {
  const within = anySignal([signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]);
  const client = new Client(origin);
  try {
    const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
    const { statusCode, body } = await client.request({ method: 'GET', path, headers, signal: within });
    body.on('error', () => undefined); // nobody reads it
    body.destroy();
    return statusCode >= 200 && statusCode < 300;
  } catch {
    return false;
  } finally {
    await client.destroy();
  }
}
