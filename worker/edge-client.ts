import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { McpctlError } from '../core/errors.ts';
import { wireHeaders } from '../core/member/protocol.ts';
import { textWithin } from '../core/text/growing-bytes.ts';
import { msFor, unseenMs } from '../core/runtime/time-of-bytes.ts';
import { openNetwork, type Network } from '../core/runtime/network/network.ts';

export interface EdgeAnswer {
  status: number;
  /** The body as JSON; undefined when it is none. */
  json: unknown;
}

/** A call whose bodies flow for as long as they like. */
export interface OpenCall {
  method: 'GET' | 'POST';
  /** Under `/api/v1/llms/`. */
  path: string;
  headers?: Readonly<Record<string, string>>;
  body?: Readable | string;
  /** Closes the connection at once, in every phase. */
  signal: AbortSignal;
}

/** Calls of the worker to the edge it publishes to. Every failure on the way is `server_unreachable`. */
export interface EdgeClient {
  /** What each call says of the process that makes it. */
  readonly instance?: string | undefined;
  /** @throws McpctlError `server_unreachable`, at the latest after `withinMs` (15 s). */
  post(path: string, body: unknown, withinMs?: number): Promise<EdgeAnswer>;
  /** Resolves with the answer's head. Its body must be read or destroyed. @throws McpctlError `server_unreachable`. */
  open(call: OpenCall): Promise<OpenAnswer>;
}

export interface OpenAnswer {
  status: number;
  /** The body as it comes. @throws whatever broke it. */
  bytes: AsyncIterable<Uint8Array>;
  /** The whole body as JSON, bounded; undefined when it is none. */
  json(): Promise<unknown>;
  close(): void;
}

const ANSWER_WITHIN_MS = 15_000;
const MOST_BYTES = 4 * 1024 * 1024;

export function createEdgeClient({
  mcpdUrl,
  token,
  instance,
  network = openNetwork(),
}: {
  mcpdUrl: string;
  token: string;
  /** The `instanceId` of this process, said on each call. */
  instance?: string | undefined;
  network?: Network | undefined;
}): EdgeClient {
  const base = new URL(`${mcpdUrl.replace(/\/+$/, '')}/api/v1/llms/`);
  const itself = instance === undefined ? {} : { [wireHeaders.instance]: instance };
  const open = async ({ method, path, headers, body, signal }: OpenCall): Promise<OpenAnswer> => {
    const request = network.dispatcher.request({
      origin: base.origin,
      path: base.pathname + path,
      method,
      headers: { authorization: `Bearer ${token}`, ...itself, ...headers },
      body: body ?? null,
      signal,
    });
    try {
      return answerOf(await beforeAbort(request, signal));
    } catch (thrown) {
      throw new McpctlError('server_unreachable', network.trouble(base, thrown), { cause: thrown });
    }
  };
  return {
    instance,
    open,
    async post(path, body, withinMs = ANSWER_WITHIN_MS) {
      const text = JSON.stringify(body);
      const signal = AbortSignal.timeout(withinMs + msFor(text.length) + unseenMs(text.length));
      const headers = { 'content-type': 'application/json' };
      const answer = await open({ method: 'POST', path, headers, body: text, signal });
      return { status: answer.status, json: await answer.json() };
    },
  };
}

function answerOf({ statusCode, body }: Dispatcher.ResponseData): OpenAnswer {
  body.on('error', () => undefined); // told to whoever reads the body; otherwise nobody waits for it
  return {
    status: statusCode,
    bytes: body,
    close: () => void body.destroy(),
    async json() {
      try {
        const text = await textWithin(body as AsyncIterable<Uint8Array>, MOST_BYTES);
        return text === undefined ? undefined : (JSON.parse(text) as unknown);
      } catch {
        return undefined; // a proxy's page, say, or half of one; the status is what counts
      }
    },
  };
}

/** undici hears an abort only once it is connected; the caller shall not wait for that. */
function beforeAbort<T>(request: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      const timedOut = signal.reason instanceof DOMException && signal.reason.name === 'TimeoutError';
      reject(
        new McpctlError('server_unreachable', timedOut ? 'it does not answer' : 'the call was broken off'),
      );
    };
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    request.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
