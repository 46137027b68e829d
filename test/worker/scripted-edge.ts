import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Frame } from '../../core/member/protocol.ts';
import { until } from '../support/system.ts';

/** One request of a worker for the answer to a task. */
export interface AnswerRequest {
  taskId: string;
  headers: IncomingMessage['headers'];
  /** Lines so far, parsed; beats too. */
  lines: Record<string, unknown>[];
  /** When it was opened, by `performance.now()`. */
  at: number;
  /** The worker, or the network, has ended it. */
  closed: boolean;
  reply(status: number, body?: object): void;
  /** The connection is reset. */
  cut(): void;
}

/** A control stream that a worker has opened. */
export interface StreamRequest {
  headers: IncomingMessage['headers'];
  at: number;
  closedAt: number | null;
  send(event: string, data: object): void;
  frame(frame: Frame): void;
  cut(): void;
}

type Post = { path: string; body: Record<string, unknown>; at: number };

/** An edge whose every word is the test's: for what a real one does seldom, or must never do. */
export interface ScriptedEdge {
  url: string;
  streams: StreamRequest[];
  answers: AnswerRequest[];
  posts: Post[];
  /** What the stream is answered with; default 200 and hello. */
  onStream: (stream: StreamRequest, res: ServerResponse) => void;
  /** Asked at each line; default: 200 after the last one. */
  onLine: (answer: AnswerRequest, line: Record<string, unknown>) => void;
  /** What other calls are answered; default 200. */
  onPost: (post: Post) => { status: number; body?: object };
  stream(n: number): Promise<StreamRequest>;
  answer(n: number): Promise<AnswerRequest>;
  posted(fits: (post: Post) => boolean): Promise<Post>;
  close(): Promise<void>;
}

const WITHIN_MS = 20_000;

export async function scriptedEdge({ pingMs = 20_000 } = {}): Promise<ScriptedEdge> {
  const sockets = new Set<Socket>();
  const json = (res: ServerResponse, status: number, body: object): void => {
    if (res.headersSent || res.destroyed) return;
    res.writeHead(status, { 'content-type': 'application/json' });
    res.end(JSON.stringify(body));
  };

  const stream = (req: IncomingMessage, res: ServerResponse): void => {
    const send = (event: string, data: object): void =>
      void res.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    const opened: StreamRequest = {
      headers: req.headers,
      at: performance.now(),
      closedAt: null,
      send,
      frame: (frame) => send('task', frame),
      cut: () => req.socket.resetAndDestroy(),
    };
    req.socket.once('close', () => (opened.closedAt = performance.now()));
    edge.streams.push(opened);
    edge.onStream(opened, res);
  };

  const answer = (req: IncomingMessage, res: ServerResponse, taskId: string): void => {
    const opened: AnswerRequest = {
      taskId,
      headers: req.headers,
      lines: [],
      at: performance.now(),
      closed: false,
      reply: (status, body = {}) => json(res, status, body),
      cut: () => req.socket.resetAndDestroy(),
    };
    edge.answers.push(opened);
    req.socket.once('close', () => (opened.closed = true));
    let rest = '';
    req.setEncoding('utf8');
    req.on('error', () => undefined); // cut
    req.on('data', (piece: string) => {
      const lines = (rest + piece).split('\n');
      rest = lines.pop() ?? '';
      for (const text of lines) {
        const line = JSON.parse(text) as Record<string, unknown>;
        opened.lines.push(line);
        edge.onLine(opened, line);
      }
    });
  };

  const server = createServer((req, res) => {
    const path = (req.url ?? '').replace('/api/v1/llms/', '');
    if (path === '_provider-stream') return stream(req, res);
    const task = /^_provider-task\/(.+)\/stream$/.exec(path)?.[1];
    if (task !== undefined) return answer(req, res, task);
    let text = '';
    req.setEncoding('utf8');
    req.on('data', (piece: string) => (text += piece));
    req.on('end', () => {
      const post = {
        path,
        body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>,
        at: performance.now(),
      };
      edge.posts.push(post);
      const { status, body = {} } = edge.onPost(post);
      json(res, status, body);
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  const nth = async <T>(list: readonly T[], n: number): Promise<T> => {
    await until(
      async () => list.length,
      (length) => length > n,
      WITHIN_MS,
    );
    return list[n] as T;
  };
  const edge: ScriptedEdge = {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    streams: [],
    answers: [],
    posts: [],
    onStream: (opened, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      opened.send('hello', { pingMs });
    },
    onLine: (opened, line) => {
      if ('end' in line) opened.reply(200, { outcome: 'ended' });
      if ('error' in line) {
        const { retryable } = line['error'] as { retryable: boolean };
        opened.reply(200, { outcome: retryable ? 'handed_back' : 'ended' });
      }
    },
    onPost: () => ({ status: 200 }),
    stream: (n) => nth(edge.streams, n),
    answer: (n) => nth(edge.answers, n),
    async posted(fits) {
      const posted = await until(
        async () => edge.posts.find(fits),
        (post) => post !== undefined,
        WITHIN_MS,
      );
      return posted as Post;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return edge;
}
