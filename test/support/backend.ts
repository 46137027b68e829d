/**
 * A scripted OpenAI-compatible backend: a real HTTP server on a free port of 127.0.0.1. By default it answers
 * like llama.cpp's server: `content: null` in the first chunk, a usage chunk when asked, and it closes the
 * connection after every streamed answer although it advertised keep-alive.
 *
 *   const backend = await startBackend();                   // answers every POST with chats(['Hello', ' there'])
 *   backend.reply(chats(['a', 'b', 'c'], { paced: true })); // from now on; `once(script)` is for one POST only
 *   const request = await backend.next('request');          // { path, body (text), json, headers, … }
 *   backend.release();                                      // lets one delta go; release(Infinity) all of them
 *   await backend.next('closed');                           // the client closed before the answer was complete
 *   await backend.close();                                  // in afterEach
 *
 * Scripts: `chats(deltas, options)` (stream or not, as the request says) · `answers(status, body, headers)` ·
 * `hangs()` · `sends(...pieces)` (an event stream written byte for byte) · or your own function of an Exchange.
 * `next` hands out each event once, oldest first, also those that happened before it was called, and fails
 * after 5 s. GET requests answer `/v1/models`, `/health`; they are recorded in `requests` but are no event. A POST
 * whose body is no JSON only asks whether the path is there: it is recorded in `probes`, and never meets a script. Nor
 * does the call by which a worker warms its model up, recorded in `warmUps`.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import type { Operation } from '../../core/llm.ts';

export interface BackendRequest {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  /** The body as it came. */
  body: string;
  /** The body parsed; undefined when it is not JSON. */
  json: Record<string, unknown> | undefined;
  /** When the client closed its socket, by `performance.now()`. */
  closedAt?: number;
}

interface Exchange {
  request: BackendRequest;
  response: ServerResponse;
  /** Waits until the test releases one more delta, or the client has gone (then false). */
  permit: () => Promise<boolean>;
  /** Destroys the connection, as a backend that dies. */
  drop: () => void;
  /** Closes the connection shortly after the answer, or as soon as another request comes over it. */
  closeAfter: () => void;
}

export type Script = (exchange: Exchange) => Promise<void> | void;

/** Undefined: as if the path were not in the table. */
export type Route = (request: BackendRequest) => { status?: number; body: unknown } | undefined;

export interface Backend {
  /** Without `/v1`. */
  url: string;
  requests: BackendRequest[];
  /** POSTs that only asked whether a path is there. */
  probes: BackendRequest[];
  /** Calls that only had the model loaded. */
  warmUps: BackendRequest[];
  /** What it can do, as such a POST finds out: 400 there, 404 elsewhere. Everything else answers any path. */
  operations: Operation[];
  /** What it answers at paths of its own protocol, GET or POST, without a query, `*` at any; asked there, it is a probe. */
  routes: Record<string, Route>;
  /** What `/v1/models` offers; `down` answers 503 to every GET. */
  models: string[];
  down: boolean;
  /** How many connections were accepted so far. */
  connections(): number;
  reply(script: Script): void;
  once(script: Script): void;
  /** Lets so many deltas of `paced` answers go, those of later requests too. */
  release(deltas?: number): void;
  next(event: 'request' | 'closed', withinMs?: number): Promise<BackendRequest>;
  /** Leaves nothing of the tests before for the next one: events not taken, scripts not met, deltas let go and not used. */
  forget(): void;
  close(): Promise<void>;
}

export interface ChatOptions {
  /** One delta per `release()`; nothing at all is sent before the first. */
  paced?: boolean;
  /** Pause before each delta. */
  intervalMs?: number;
  /** null: the stream ends without one, and so does the whole answer. */
  finishReason?: string | null;
  /** Destroys the socket after this many deltas. */
  dieAfter?: number;
  /** Closes the connection after the answer, though it advertised keep-alive. Default true when streaming. */
  closesAfter?: boolean;
  /** Line ends. Default LF. */
  eol?: '\n' | '\r\n';
  /** A comment line before each event. */
  comments?: boolean;
  /** Writes everything at once, or in pieces of so many bytes (events and UTF-8 torn apart). */
  packets?: 'one' | number;
  /** Leaves out the final `data: [DONE]`. */
  noDone?: boolean;
}

const timings = { prompt_n: 3, predicted_n: 2, predicted_per_second: 99.5 };

export function chats(deltas: readonly string[], options: ChatOptions = {}): Script {
  return async (exchange) => {
    const finishReason = options.finishReason === undefined ? 'stop' : options.finishReason;
    const base = { id: 'chatcmpl-1', created: 1_700_000_000, model: exchange.request.json?.['model'] };
    const usage = { prompt_tokens: 3, completion_tokens: deltas.length, total_tokens: 3 + deltas.length };
    if (exchange.request.json?.['stream'] !== true) {
      if (options.paced && !(await exchange.permit())) return;
      const message = { role: 'assistant', content: deltas.join('') };
      const choices = [{ index: 0, message, finish_reason: finishReason }];
      const whole = { ...base, object: 'chat.completion', choices, usage, timings };
      return answers(200, whole)(exchange);
    }
    const chunk = (delta: object, finish: string | null = null): string =>
      JSON.stringify({
        ...base,
        object: 'chat.completion.chunk',
        choices: [{ index: 0, delta, finish_reason: finish }],
      });
    const write = writer(exchange, options);
    for (const [n, content] of deltas.entries()) {
      if (options.paced && !(await exchange.permit())) return;
      if (options.intervalMs !== undefined) await sleep(options.intervalMs);
      if (n === options.dieAfter) return exchange.drop();
      if (n === 0) await write(chunk({ role: 'assistant', content: null }));
      await write(chunk({ content }));
    }
    if (options.dieAfter === deltas.length) return exchange.drop();
    if (finishReason !== null) await write(chunk({}, finishReason));
    const asked = exchange.request.json['stream_options'] as { include_usage?: boolean } | null | undefined;
    if (asked?.include_usage === true && finishReason !== null) {
      await write(JSON.stringify({ ...base, object: 'chat.completion.chunk', choices: [], usage, timings }));
    }
    if (options.noDone !== true) await write('[DONE]');
    await write.end();
  };
}

/** A whole answer; a string body goes as it is. */
export function answers(status: number, body: unknown, headers: Record<string, string> = {}): Script {
  return ({ response }) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
  };
}

export function hangs(): Script {
  return () => undefined;
}

/** An event stream of exactly these pieces, each its own write; then it ends. */
export function sends(...pieces: (string | Uint8Array)[]): Script {
  return async ({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const piece of pieces) await written(response, piece);
    response.end();
  };
}

function writer({ response, closeAfter }: Exchange, options: ChatOptions) {
  const eol = options.eol ?? '\n';
  const packets: Buffer[] = [];
  const put = async (text: string): Promise<void> => {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
    const bytes = Buffer.from(text);
    if (options.packets === 'one') packets.push(bytes);
    else if (options.packets === undefined) await written(response, bytes);
    else {
      for (let at = 0; at < bytes.length; at += options.packets) {
        await written(response, bytes.subarray(at, at + options.packets));
      }
    }
  };
  const write = async (data: string): Promise<void> => {
    const comment = options.comments ? `: still here${eol}${eol}` : '';
    await put(`${comment}data: ${data}${eol}${eol}`);
  };
  write.end = async (): Promise<void> => {
    if (packets.length > 0) await written(response, Buffer.concat(packets));
    if (options.closesAfter !== false) closeAfter();
    response.end();
  };
  return write;
}

/** Resolves when the bytes were handed to the system, so that each piece is a packet of its own. */
function written(response: ServerResponse, piece: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    response.write(piece, () => setImmediate(resolve));
  });
}

export async function startBackend(): Promise<Backend> {
  const sockets = new Set<Socket>();
  const doomed = new WeakSet<Socket>();
  const events = { request: mailbox(), closed: mailbox() };
  const permits = turnstile();
  const queued: Script[] = [];
  let standing = chats(['Hello', ' there']);
  let accepted = 0;

  const serve = async (req: IncomingMessage, response: ServerResponse): Promise<void> => {
    const request = await record(req);
    const path = request.path.replace(/\?.*/, '');
    const own = (backend.routes[path] ?? backend.routes['*'])?.(request);
    if (own && !backend.down) {
      backend.probes.push(request);
      const text = typeof own.body === 'string' ? own.body : JSON.stringify(own.body);
      response.writeHead(own.status ?? 200, { 'content-type': 'application/json' }).end(text);
      return;
    }
    const isLarge = request.body.length > LARGE_BYTES;
    if (req.method === 'POST' && !isLarge && request.json === undefined) {
      backend.probes.push(request);
      return answerProbe(backend, { request, response });
    }
    if (!isLarge && isWarmUp(request)) {
      backend.warmUps.push(request);
      return chats(['Hi'])({
        request,
        response,
        permit: () => Promise.resolve(true),
        drop: () => undefined,
        closeAfter: () => undefined,
      });
    }
    backend.requests.push(request);
    let dropped = false;
    const gone = new AbortController();
    const drop = (): void => {
      dropped = true;
      req.socket.destroy();
    };
    const closeAfter = (): void => {
      doomed.add(req.socket);
      response.on('finish', () => setTimeout(() => req.socket.destroySoon(), 10).unref());
    };
    const permit = (): Promise<boolean> => permits.pass(gone.signal);
    const exchange = { request, response, drop, closeAfter, permit };
    if (req.method === 'GET') return answerGet(backend, exchange);
    response.on('close', () => {
      gone.abort();
      if (response.writableFinished || dropped) return;
      request.closedAt = performance.now();
      events.closed.put(request);
    });
    events.request.put(request);
    await (queued.shift() ?? standing)(exchange);
  };

  const server = createServer((req, response) => {
    if (doomed.has(req.socket)) return void req.socket.resetAndDestroy();
    serve(req, response).catch(() => response.destroy()); // the client left in the middle of its body
  });
  server.on('connection', (socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  const backend: Backend = {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    requests: [],
    probes: [],
    routes: {},
    warmUps: [],
    operations: ['chat', 'completions', 'embeddings'],
    models: ['test-model'],
    down: false,
    connections: () => accepted,
    reply: (script) => void (standing = script),
    once: (script) => void queued.push(script),
    release: (deltas = 1) => permits.open(deltas),
    async next(event, withinMs = 5_000) {
      const request = await events[event].take(withinMs);
      return request ?? expect.fail(`the backend saw no '${event}' within ${String(withinMs)} ms`);
    },
    forget() {
      events.request.clear();
      events.closed.clear();
      queued.length = 0;
      permits.shut();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return backend;
}

/** As worker/providers/openai.ts asks. */
function isWarmUp({ json }: BackendRequest): boolean {
  return (
    json?.['max_tokens'] === 1 && JSON.stringify(json['messages']) === '[{"role":"user","content":"Hi"}]'
  );
}

const LARGE_BYTES = 4 * 1024 * 1024;

/** Undefined: none, and recorded as text all the same. */
function jsonOf(body: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(body) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

async function record(req: IncomingMessage): Promise<BackendRequest> {
  const pieces: Buffer[] = [];
  for await (const piece of req) pieces.push(piece as Buffer);
  const body = Buffer.concat(pieces).toString();
  const request: BackendRequest = {
    ...{ method: req.method ?? '', path: req.url ?? '', headers: req.headers, body, json: undefined },
  };
  // What is large is parsed only for who asks for it: as values it may be forty times as much.
  if (body.length > LARGE_BYTES)
    Object.defineProperty(request, 'json', { get: () => jsonOf(body), enumerable: true });
  else request.json = jsonOf(body);
  return request;
}

function answerGet(backend: Backend, exchange: Exchange): void | Promise<void> {
  if (backend.down) return answers(503, { error: { message: 'Loading model' } })(exchange);
  if (exchange.request.path === '/health') return answers(200, { status: 'ok' })(exchange);
  if (exchange.request.path !== '/v1/models')
    return answers(404, { error: { message: 'not found' } })(exchange);
  const data = backend.models.map((id) => ({ id, object: 'model', created: 0, owned_by: 'local' }));
  return answers(200, { object: 'list', data })(exchange);
}

const paths: Record<string, Operation> = {
  '/v1/chat/completions': 'chat',
  '/v1/completions': 'completions',
  '/v1/embeddings': 'embeddings',
  '/v1/responses': 'responses',
  '/v1/messages': 'messages',
};

/** As real backends do: what cannot be parsed is 400, a path that is not there 404. */
function answerProbe(
  { operations }: Backend,
  { request, response }: Pick<Exchange, 'request' | 'response'>,
): void {
  const operation = paths[request.path];
  const there = operation !== undefined && operations.includes(operation);
  const error = { message: there ? 'The body is not valid JSON.' : 'not found' };
  response.writeHead(there ? 400 : 404, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ error }));
}

/** Events kept until somebody asks for them, each handed out once; undefined when none comes in time. */
function mailbox() {
  const kept: BackendRequest[] = [];
  const takers: ((request: BackendRequest) => void)[] = [];
  return {
    put(request: BackendRequest): void {
      const taker = takers.shift();
      if (taker) taker(request);
      else kept.push(request);
    },
    take(withinMs: number): Promise<BackendRequest | undefined> {
      const request = kept.shift();
      if (request) return Promise.resolve(request);
      return new Promise((resolve) => {
        const taker = (came: BackendRequest): void => {
          clearTimeout(timer);
          resolve(came);
        };
        const timer = setTimeout(() => {
          takers.splice(takers.indexOf(taker), 1);
          resolve(undefined);
        }, withinMs);
        takers.push(taker);
      });
    },
    clear: (): void => void (kept.length = 0),
  };
}

/** Lets as many pass as were allowed, in order. One whose client has gone passes at once, with false. */
function turnstile() {
  let allowed = 0;
  const waiting: (() => void)[] = [];
  return {
    open(count: number): void {
      allowed += count;
      for (; allowed > 0 && waiting.length > 0; allowed -= 1) waiting.shift()?.();
    },
    shut: (): void => void (allowed = 0),
    pass(gone: AbortSignal): Promise<boolean> {
      if (gone.aborted) return Promise.resolve(false);
      if (allowed > 0) {
        allowed -= 1;
        return Promise.resolve(true);
      }
      return new Promise((resolve) => {
        const go = (): void => resolve(true);
        waiting.push(go);
        gone.addEventListener('abort', () => {
          const at = waiting.indexOf(go);
          if (at !== -1) waiting.splice(at, 1);
          resolve(false);
        });
      });
    },
  };
}
