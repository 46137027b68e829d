import { anySignal } from '../../core/runtime/any-signal.ts';
import { textWithin } from '../../core/text/growing-bytes.ts';
import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { McpctlError } from '../../core/errors.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Network } from '../../core/runtime/network/network.ts';
import { unseenMs } from '../../core/runtime/time-of-bytes.ts';
import { Cancelled } from '../exit.ts';
import { accepted, explained, headerOf } from './http-answers.ts';
import { CALL_MS, patiently, saying, type Patience } from './patience.ts';

export const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

export interface Call {
  method: (typeof methods)[number];
  /** Below the server's URL; its parts are escaped already. */
  path: string;
  query?: Readonly<Record<string, string | number | undefined>>;
  body?: unknown;
  /** Instead of `body`: what is sent as it is. */
  text?: string;
  headers?: Readonly<Record<string, string>>;
  /** Most milliseconds of silence, from what was sent until the answer begins; 30 s, or what patience is left, if not said. */
  limitMs?: number;
  /** Gives this one call up, besides Ctrl-C. */
  signal?: AbortSignal;
  /** Though it is a POST it may come twice, for the second finds what the first has made. */
  isSameTwice?: true;
}

interface Opened {
  body: AsyncIterable<Uint8Array>;
  /** The task that the answer is of, where the server says it. */
  taskId: string | null;
  /** Null where the answer has none of that name. */
  header(name: string): string | null;
}

interface RawAnswer {
  status: number;
  body: AsyncIterable<Uint8Array>;
}

/** HTTP to one server as one token. Every error is an McpctlError, or Cancelled after Ctrl-C. */
export interface Http {
  server: string;
  json(call: Call): Promise<unknown>;
  /** Resolves when a 2xx answer begins. Leaving its body early closes the connection. */
  open(call: Call): Promise<Opened>;
  /** Any answer, whatever its status; resolves when it begins. */
  raw(call: Call): Promise<RawAnswer>;
  /** What anything thrown while a body was read means. */
  explain(thrown: unknown): Error;
}

export interface HttpDeps {
  server: string;
  /** null: none is shown. */
  token: string | null;
  /** Where the token was said. */
  tokenFrom: string | null;
  version: string;
  /** The way to the server. */
  network: Network;
  clock: Clock;
  /** Whom to call as; undefined: whose the token is. */
  as?: string | undefined;
  /** Gets one line per call and per answer, without secrets. */
  trace: (line: string) => void;
  /** Ctrl-C. */
  signal: AbortSignal;
  /** How long what may be repeated is, while the server is away or full; not at all, unless told. */
  patience?: Patience;
}

/** More than a task takes with a request and an answer of 64 MiB each, every quote of them escaped. */
const MOST_ANSWER_BYTES = 320 * 1024 * 1024;

/** @throws McpctlError `bad_answer` when it is longer than anything that an edge says in one piece, or will be. */
async function textOf(answer: Dispatcher.ResponseData, server: string): Promise<string> {
  const tooMuch = (): never => {
    const most = MOST_ANSWER_BYTES / 2 ** 20;
    throw new McpctlError(
      'bad_answer',
      `${server} answers with more than ${most} MiB; is it an mcpctl server?`,
    );
  };
  if (Number(headerOf(answer, 'content-length') ?? 0) > MOST_ANSWER_BYTES) tooMuch();
  const text = await textWithin(answer.body as AsyncIterable<Uint8Array>, MOST_ANSWER_BYTES);
  return text ?? tooMuch();
}

export function createHttp(deps: HttpDeps): Http {
  const { server, signal, tokenFrom, network } = deps;
  const send = createSend(deps);

  const explain = (thrown: unknown): Error =>
    signal.aborted ? new Cancelled() : explained(thrown, { server, network });

  /**
   * The limit covers what `work` awaits until it has `begun`, from the last piece of what is sent that has `moved`; `signal`s
   * of the call and of Ctrl-C end it sooner. How long a request or an answer takes depends on how large it is and on the
   * line: only silence ends either. One that drips is the server's to end.
   */
  const within = async <T>(call: Call, work: (how: Sending, begun: () => void) => Promise<T>): Promise<T> => {
    const limit = new AbortController();
    const text = call.body === undefined ? call.text : JSON.stringify(call.body);
    const limitMs = (call.limitMs ?? CALL_MS) + unseenMs(text?.length ?? 0);
    const timer = setTimeout(() => limit.abort(), limitMs);
    const begun = (): void => clearTimeout(timer);
    const stop = anySignal([signal, limit.signal, ...(call.signal ? [call.signal] : [])]);
    try {
      return await work({ text, stop, moved: () => void timer.refresh() }, begun);
    } catch (thrown) {
      if (signal.aborted || call.signal?.aborted) throw new Cancelled();
      if (limit.signal.aborted)
        throw new McpctlError('server_unreachable', `${server} did not answer within ${limitMs / 1000} s.`);
      throw explain(thrown);
    } finally {
      begun();
    }
  };

  return {
    server,
    explain,
    json: (call) =>
      patiently(call, deps, (left) =>
        within(left, async (how, begun) => {
          const answer = await send(left, how);
          begun();
          const text = await textOf(answer, server);
          return saying(answer, deps.clock, () => accepted(answer, text, { server, tokenFrom }));
        }),
      ),
    open: (call) =>
      patiently(call, deps, (left) =>
        within(left, async (how, begun) => {
          const answer = await send(left, how);
          if (answer.statusCode < 200 || answer.statusCode > 299) {
            const text = await textOf(answer, server);
            saying(answer, deps.clock, () => accepted(answer, text, { server, tokenFrom }));
          }
          begun();
          const header = (name: string): string | null => headerOf(answer, name);
          return { body: answer.body, taskId: header('x-mcpctl-task-id'), header };
        }),
      ),
    raw: (call) =>
      within(call, async (how, begun) => {
        const { statusCode: status, body } = await send(call, how);
        begun();
        return { status, body };
      }),
  };
}

/** How one call is sent. */
interface Sending {
  text: string | undefined;
  stop: AbortSignal;
  /** Is told whenever the connection has taken some of it. */
  moved: () => void;
}

/** What is longer is handed to the connection in pieces, so that it shows whether it moves. */
const PIECE_BYTES = 64 * 1024;

async function* inPieces(bytes: Buffer, moved: () => void): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    moved();
    yield bytes.subarray(at, at + PIECE_BYTES);
  }
  moved();
}

/** What a request says of its body, and the body itself. */
function bodyOf({ text, moved }: Sending): {
  headers: Record<string, string>;
  body: string | Readable | null;
} {
  if (text === undefined) return { headers: {}, body: null };
  const headers = { 'content-type': 'application/json' };
  if (text.length <= PIECE_BYTES) return { headers, body: text };
  const bytes = Buffer.from(text);
  return {
    headers: { ...headers, 'content-length': String(bytes.length) },
    body: Readable.from(inPieces(bytes, moved), { objectMode: false, highWaterMark: PIECE_BYTES }),
  };
}

/** One request, traced; resolves with its headers. */
function createSend({ server, token, as, version, network, clock, trace }: HttpDeps) {
  return async (call: Call, how: Sending): Promise<Dispatcher.ResponseData> => {
    const url = `${server}${call.path}${queryOf(call.query)}`;
    const { origin, pathname, search } = new URL(url);
    trace(`> ${call.method} ${url}`);
    const from = clock.elapsed();
    const { headers, body } = bodyOf(how);
    const answer = await network.dispatcher.request({
      origin,
      path: pathname + search,
      method: call.method,
      signal: how.stop,
      headers: {
        ...(token !== null && { authorization: `Bearer ${token}` }),
        'user-agent': `mcpctl/${version}`,
        accept: 'application/json',
        ...(as !== undefined && { 'x-mcpctl-as': as }),
        ...headers,
        ...call.headers,
      },
      body,
    });
    trace(`< ${answer.statusCode} ${Math.round(clock.elapsed() - from)} ms`);
    return answer;
  };
}

function queryOf(query: Call['query']): string {
  const given = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {}))
    if (value !== undefined) given.set(key, String(value));
  return given.size === 0 ? '' : `?${given.toString()}`;
}
