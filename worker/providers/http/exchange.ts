import { isIP, type LookupFunction } from 'node:net';
import { Agent, type Dispatcher } from 'undici';
import { McpctlError } from '../../../core/errors.ts';

/**
 * One request, one connection. llama.cpp closes the connection after each streamed answer although it
 * advertised keep-alive, so a pooled socket fails about every second time; a socket that is never used twice
 * cannot, and closing it is what stops the backend at an abort. The price is a connection per request: some
 * tenths of a millisecond on a local network, a TLS handshake towards a remote backend.
 */
export type Exchange = (call: ExchangeCall) => Promise<Answer>;

interface ExchangeCall {
  method: 'GET' | 'POST';
  url: URL;
  headers: Readonly<Record<string, string>>;
  body?: string;
  /** Closes the connection at once, in every phase. */
  signal: AbortSignal;
}

export interface Answer {
  status: number;
  contentType: string;
  /** Seconds, from Retry-After. */
  retryAfterS?: number;
  /** The body as it comes. @throws McpctlError `unstorable_result` past the largest answer. */
  bytes(): AsyncIterable<Uint8Array>;
  /** The body as text; undefined when it is longer than `most` bytes. */
  text(most: number): Promise<string | undefined>;
  /** Closes the connection; after the last event, leaves the backend a moment to end by itself. */
  close(how: 'now' | 'gently'): void;
}

/** The largest answer that is taken: memory is bounded whatever a backend sends. */
export const largestAnswerBytes = 64 * 1024 * 1024;
const connectMs = 5_000;
const endMs = 1_000;

/** How a backend is dialled, where it is not the usual way; as node's `net.connect` and `tls.connect` take them. */
export interface Dialling {
  /** Not asked for a host that is an IP address already: `check` is. */
  lookup?: LookupFunction;
  /** Asked before an address that stands in the URL itself is dialled. @throws what the call then fails with. */
  check?: (address: string) => void;
  /** Certificate authorities, PEM, instead of the usual ones. */
  ca?: string;
}

export function createExchange({ check, ...dialling }: Dialling = {}): Exchange {
  // Local models are silent for minutes: undici's own limits (5 minutes each) are off, patience.ts has ours.
  const agent = new Agent({
    pipelining: 0,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: connectMs, ...dialling },
  });
  return async ({ method, url, headers, body, signal }) => {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    if (isIP(host) !== 0) check?.(host);
    const request = agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method,
      headers: { ...headers, 'accept-encoding': 'identity' },
      body: body ?? null,
      signal,
    });
    return answerOf(await beforeAbort(request, signal));
  };
}

function answerOf(response: Dispatcher.ResponseData): Answer {
  const { body, headers, statusCode } = response;
  body.on('error', () => undefined); // told to whoever reads the body; otherwise nobody waits for it
  const retryAfterS = Number(headers['retry-after']);
  async function* bytes(): AsyncGenerator<Uint8Array, void, undefined> {
    let size = 0;
    for await (const piece of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      size += piece.byteLength;
      if (size > largestAnswerBytes) {
        throw new McpctlError('unstorable_result', "The backend's answer is larger than 64 MiB.");
      }
      yield piece;
    }
  }
  return {
    status: statusCode,
    contentType: String(headers['content-type'] ?? ''),
    ...(Number.isFinite(retryAfterS) && retryAfterS >= 0 ? { retryAfterS } : {}),
    bytes,
    async text(most) {
      const pieces: Uint8Array[] = [];
      let size = 0;
      for await (const piece of bytes()) {
        size += piece.byteLength;
        if (size > most) return undefined;
        pieces.push(piece);
      }
      return Buffer.concat(pieces).toString('utf8');
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
