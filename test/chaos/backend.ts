import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { pause } from '../../core/runtime/clock.ts';
import type { Journal } from './journal.ts';
import { pieceText } from './lines.ts';

/** How a backend answers: well, or in one of the ways that backends fail. */
export type Manner = 'well' | 'hang' | 'hang-midway' | 'reset' | 'no-finish' | 'garbage' | 'refuse';

/** What a caller asks of the scripted backend; it is the text of its prompt. */
export interface Script {
  canary: string;
  pieces: number;
  gapMs: number;
  /** Bytes of padding per event, for slow readers: carried beside the content. */
  padBytes?: number;
  /** Ends the worker that serves it. */
  poison?: true;
}

/** A scripted OpenAI-compatible backend on loopback; its answers say whose they are. */
export interface ChaosBackend {
  name: string;
  port: number;
  url: string;
  /** For requests from now on. */
  manner: Manner;
  /** Requests that are being answered: how many, and which. */
  open(): number;
  openNonces(): string[];
  openCanaries(): string[];
  /** How many requests it has failed in this manner. */
  failures(how: Manner): number;
  /** Called with each poisoned request, before anything is answered. */
  onPoison: () => void;
  close(): Promise<void>;
}

interface Exchange {
  script: Script;
  streaming: boolean;
  response: ServerResponse;
  nonce: string;
  gone: AbortSignal;
  /** Pieces written so far. */
  wrote: number;
}

/** A reader who has taken nothing for this long has gone. */
const DRAIN_MS = 120_000;
/** Of a turn the last one: those before it are of what was said earlier. */
const marker = /\{\\"canary.*?\}/g;
let nonces = 0;

export async function startChaosBackend(name: string, journal: () => Journal): Promise<ChaosBackend> {
  const sockets = new Set<Socket>();
  const open = new Map<string, string>();
  const failed = new Map<Manner, number>();

  const answer = async (req: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (req.method === 'GET') return models(response);
    const text = await bodyOf(req);
    const mark = text.match(marker)?.at(-1);
    if (mark === undefined) return void response.writeHead(400).end('{"error":{"message":"no script"}}');
    const script = JSON.parse(JSON.parse(`"${mark}"`) as string) as Script;
    nonces += 1;
    const nonce = `n${nonces.toString(36)}`;
    journal().backend({ nonce, what: 'request', backend: name, canary: script.canary });
    const closed = new AbortController();
    const exchange: Exchange = {
      ...{ script, response, nonce, gone: closed.signal, wrote: 0 },
      streaming: /"stream"\s*:\s*true/.test(text),
    };
    open.set(nonce, script.canary);
    let intended = false;
    response.once('close', () => {
      open.delete(nonce);
      closed.abort();
      if (!response.writableFinished && !intended) {
        journal().backend({ nonce, what: 'closed', pieces: exchange.wrote });
      }
    });
    if (script.poison) return backend.onPoison();
    const manner = backend.manner;
    intended = manner === 'reset';
    if (manner !== 'well') failed.set(manner, (failed.get(manner) ?? 0) + 1);
    await byManner[manner](exchange);
    if (closed.signal.aborted && manner === 'well') return;
    if (manner === 'well') journal().backend({ nonce, what: 'finished', pieces: exchange.wrote });
    else if (!manner.startsWith('hang')) journal().backend({ nonce, what: 'failed', how: manner });
  };

  const server: Server = createServer((req, response) => {
    answer(req, response).catch(() => response.destroy()); // whoever asked left in the middle of its body
  });
  server.on('connection', (socket) => {
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const backend: ChaosBackend = {
    name,
    port,
    url: `http://127.0.0.1:${String(port)}`,
    manner: 'well',
    open: () => open.size,
    openNonces: () => [...open.keys()],
    openCanaries: () => [...open.values()],
    failures: (how) => failed.get(how) ?? 0,
    onPoison: () => undefined,
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return backend;
}

function models(response: ServerResponse): void {
  const body = JSON.stringify({ object: 'list', data: [{ id: 'tiny', object: 'model' }] });
  response.writeHead(200, { 'content-type': 'application/json' }).end(body);
}

async function bodyOf(req: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of req) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

const byManner: Record<Manner, (exchange: Exchange) => Promise<void>> = {
  async well(exchange) {
    if (!exchange.streaming) return await whole(exchange);
    await pieces(exchange, exchange.script.pieces);
    if (exchange.gone.aborted) return;
    event(exchange, { delta: {}, finish_reason: 'stop' });
    exchange.response.end('data: [DONE]\n\n');
  },
  hang: async () => undefined,
  'hang-midway': (exchange) => half(exchange),
  async reset(exchange) {
    await half(exchange);
    exchange.response.socket?.resetAndDestroy();
  },
  async 'no-finish'(exchange) {
    await half(exchange);
    if (exchange.streaming) exchange.response.end();
    else exchange.response.writeHead(200, json).end('{"choices":[]');
  },
  async garbage(exchange) {
    await half(exchange);
    if (!exchange.streaming) exchange.response.writeHead(200, { 'content-type': 'application/json' });
    exchange.response.end('data: \u0000\uFFFD{]]] <html>\n\nevent: ??\ndata: 7\n\n');
  },
  async refuse(exchange) {
    exchange.response.writeHead(503, json).end('{"error":{"message":"Loading model"}}');
  },
};

const json = { 'content-type': 'application/json' };

async function half(exchange: Exchange): Promise<void> {
  if (exchange.streaming) await pieces(exchange, Math.ceil(exchange.script.pieces / 2));
}

async function whole(exchange: Exchange): Promise<void> {
  const { script, nonce, response, gone } = exchange;
  await pause(script.pieces * script.gapMs, gone);
  if (gone.aborted) return;
  let content = '';
  for (; exchange.wrote < script.pieces; exchange.wrote += 1) {
    content += pieceText({ canary: script.canary, nonce, seq: exchange.wrote });
  }
  const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }];
  const usage = { prompt_tokens: 1, completion_tokens: script.pieces, total_tokens: 1 + script.pieces };
  response
    .writeHead(200, json)
    .end(JSON.stringify({ object: 'chat.completion', model: 'tiny', choices, usage }));
}

async function pieces(exchange: Exchange, count: number): Promise<void> {
  const { script, nonce, response, gone } = exchange;
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.flushHeaders();
  for (; exchange.wrote < count && !gone.aborted; exchange.wrote += 1) {
    if (script.gapMs > 0) await pause(script.gapMs, gone);
    if (gone.aborted) return;
    const content = pieceText({ canary: script.canary, nonce, seq: exchange.wrote });
    if (event(exchange, { delta: { content }, finish_reason: null })) continue;
    const drained = new AbortController();
    response.once('drain', () => drained.abort());
    await pause(DRAIN_MS, AbortSignal.any([drained.signal, gone]));
  }
}

function event({ response, script }: Exchange, choice: object): boolean {
  const pad = script.padBytes === undefined ? {} : { pad: 'x'.repeat(script.padBytes) };
  const chunk = {
    object: 'chat.completion.chunk',
    model: 'tiny',
    choices: [{ index: 0, ...choice }],
    ...pad,
  };
  return response.write(`data: ${JSON.stringify(chunk)}\n\n`);
}
