import { isIP } from 'node:net';
import type { Dispatcher } from 'undici';
import { decoded } from './decoded.ts';
import { textOf } from './text.ts';
import { McpctlError } from '../../../../core/errors.ts';
import { GrowingBytes } from '../../../../core/text/growing-bytes.ts';
import { LARGEST_ANSWER_BYTES } from '../../../../core/text/large-body.ts';
import { retryAfterIn } from '../../../../core/judge/retry-after.ts';
import { systemClock } from '../../../../core/runtime/clock.ts';
import { createConnections, type Connecting, type Connection, type Keeping } from './connections.ts';

/**
 * One request to a backend. A connection whose answer was read to its end is kept for a moment and used again; any
 * other end closes it, which is what stops the backend at an abort. llama.cpp closes the connection after each
 * streamed answer although it advertised keep-alive: a request that meets this is sent once more, over a connection
 * of its own. What fails otherwise fails here too; docs/decisions/0011-kept-backend-connections.md says why.
 */
export type Exchange = (call: ExchangeCall) => Promise<Answer>;

interface ExchangeCall {
  method: 'GET' | 'POST' | 'DELETE';
  url: URL;
  headers: Readonly<Record<string, string>>;
  body?: string;
  /** Closes the connection at once, in every phase. */
  signal: AbortSignal;
  /** It said that it is at it, before it answered (100, 102, 103). */
  heard?: () => void;
  /** The first byte of an answer came, at most once. Of its head no more is told until all of it is there. */
  begun?: () => void;
}

export interface Answer {
  status: number;
  contentType: string;
  /** Of its head, by its name in small letters; undefined where there is none, or several. */
  header(name: string): string | undefined;
  /** Seconds, from Retry-After: a number or a date, bounded. */
  retryAfterS?: number;
  /**
   * The body as it comes, decoded where it was encoded although it was asked for as it is. @throws McpctlError
   * `unstorable_result` past the largest answer, `backend_error` for an encoding that nobody here reads.
   * @param heard called with each piece of an encoding, also with one that nothing comes of yet.
   */
  bytes(heard?: () => void): AsyncIterable<Uint8Array>;
  /** The body as text, as much as came of it where it breaks off; undefined when it is longer than `most` bytes. */
  text(most: number, heard?: () => void): Promise<string | undefined>;
  /**
   * Closes the connection, unless the body was read to its end; after the last event, leaves the backend a moment to
   * end by itself.
   */
  close(how: 'now' | 'gently'): void;
}

const endMs = 1_000;

/** How a backend is dialled, where it is not the usual way. */
export interface Dialling extends Connecting {
  /** Asked at each call whose URL has an address for a host. @throws what the call then fails with. */
  check?: (address: string) => void;
}

export function createExchange({ check, ...dialling }: Dialling = {}, keeping: Keeping = {}): Exchange {
  const connections = createConnections(dialling, keeping);
  return async (call) => {
    const { origin, hostname } = call.url;
    const host = hostname.replace(/^\[|\]$/g, '');
    if (isIP(host) !== 0) check?.(host);
    const connection = connections.take(origin);
    try {
      return await askOver(connection, call);
    } catch (thrown) {
      if (!connection.wasStale(thrown)) throw thrown;
      return askOver(connections.fresh(origin), call);
    }
  };
}

async function askOver(connection: Connection, call: ExchangeCall): Promise<Answer> {
  const { method, url, headers, body, signal, heard, begun } = call;
  const options = {
    path: url.pathname + url.search,
    method,
    headers: { ...headers, 'accept-encoding': 'identity' },
    body: body ?? null,
    signal,
    ...(heard ? { onInfo: heard } : {}),
  };
  const request = connection.request(options, { begun, heard });
  return answerOf(await beforeAbort(request, signal));
}

function answerOf(response: Dispatcher.ResponseData): Answer {
  const { body, headers, statusCode } = response;
  body.on('error', () => undefined); // told to whoever reads the body; otherwise nobody waits for it
  const retryAfterS = askedToWait(headers);
  async function* bytes(heard = (): void => undefined): AsyncGenerator<Uint8Array, void, undefined> {
    let size = 0;
    const raw = body.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
    for await (const piece of decoded({ bytes: raw, encoding: headers['content-encoding'], heard })) {
      size += piece.byteLength;
      if (size > LARGEST_ANSWER_BYTES) {
        throw new McpctlError('unstorable_result', "The backend's answer is larger than 64 MiB.");
      }
      yield piece;
    }
  }
  return {
    status: statusCode,
    contentType: String(headers['content-type'] ?? ''),
    header(name) {
      const value = headers[name];
      return typeof value === 'string' ? value : undefined;
    },
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
    bytes,
    async text(most, heard) {
      const all = new GrowingBytes(most);
      try {
        for await (const piece of bytes(heard)) {
          heard?.();
          if (!all.append(piece)) return undefined;
        }
      } catch (thrown) {
        if (statusCode < 300) throw thrown; // of a refusal the status says enough
      }
      return textOf(all);
    },
    close(how) {
      if (how === 'now') return void body.destroy();
      if (body.closed) return;
      const timer = setTimeout(() => body.destroy(), endMs);
      body.once('close', () => clearTimeout(timer));
      body.resume();
    },
  };
}

/** Azure and OpenAI say it in milliseconds too, and sometimes so alone. */
function askedToWait(headers: Dispatcher.ResponseData['headers']): number | undefined {
  const now = systemClock.now();
  const ms = retryAfterIn(headers['retry-after-ms'], now);
  return retryAfterIn(headers['retry-after'], now) ?? (ms === undefined ? undefined : ms / 1_000);
}

/** undici hears an abort only once it is connected; the caller shall not wait for that. */
function beforeAbort<T>(request: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void =>
      reject(new McpctlError('task_cancelled', 'The call to the backend was aborted.'));
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    request.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
