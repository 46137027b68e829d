import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';

interface PeerRequest {
  method: string;
  /** With its query. */
  url: string;
  headers: IncomingMessage['headers'];
  body: Record<string, unknown> | undefined;
  text: string;
}

export type Reply = (response: ServerResponse, request: PeerRequest) => void | Promise<void>;

/** An edge on a real socket that says what a test scripts: `on('GET /api/v1/llms', answers(200, …))`. */
export interface Peer {
  url: string;
  requests: PeerRequest[];
  /** The route is a method and a path without its query; the last reply said for it counts. */
  on(route: string, reply: Reply): void;
  /** Resolves when a client has closed the connection of an answer that was not complete. */
  left: Promise<void>;
  close(): Promise<void>;
}

const BOUND_MS = 15_000;

export function answers(status: number, body: unknown, headers: Record<string, string> = {}): Reply {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
}

/** 204, as the edge answers what it has deleted. */
export const empty: Reply = (response) => void response.writeHead(204).end();

/** An API error, as the edge writes it. */
export function fails(status: number, code: string, error = 'It went wrong.'): Reply {
  return answers(status, { error, code, requestId: 'r-1' });
}

/** Server-sent events: each a chunk's JSON, or text as it is. Stays open after them when `open`. */
export function streams(events: readonly unknown[], { open = false } = {}): Reply {
  return (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'x-mcpctl-task-id': 'task-1' });
    for (const event of events)
      response.write(`data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`);
    if (!open) response.end();
  };
}

/** A chunk with this delta. */
export function delta(says: Record<string, unknown>, finish: string | null = null): unknown {
  return { object: 'chat.completion.chunk', choices: [{ index: 0, delta: says, finish_reason: finish }] };
}

export function page(items: readonly unknown[], next: string | null = null): Reply {
  return answers(200, { items, next });
}

export async function startPeer(): Promise<Peer> {
  const replies = new Map<string, Reply>();
  const requests: PeerRequest[] = [];
  let leave: () => void = () => undefined;
  const left = new Promise<void>((resolve) => (leave = resolve));
  const server = createServer((incoming, response) => {
    response.on('close', () => response.writableFinished || leave());
    void (async () => {
      const pieces: Buffer[] = [];
      for await (const piece of incoming) pieces.push(piece as Buffer);
      const text = Buffer.concat(pieces).toString();
      const request: PeerRequest = {
        method: incoming.method ?? '',
        url: incoming.url ?? '',
        headers: incoming.headers,
        body: text === '' ? undefined : (JSON.parse(text) as Record<string, unknown>),
        text,
      };
      requests.push(request);
      const route = `${request.method} ${request.url.split('?')[0] ?? ''}`;
      await (replies.get(route) ?? fails(404, 'route_not_found', `Not scripted: ${route}`))(
        response,
        request,
      );
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    on: (route, reply) => void replies.set(route, reply),
    left,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Fails instead of waiting for ever. */
export async function within<T>(work: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not happen within ${BOUND_MS} ms`)), BOUND_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Polls until it holds. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  let waiting = true;
  const poll = async (): Promise<void> => {
    while (waiting && !holds()) await new Promise((resolve) => setImmediate(resolve));
  };
  try {
    await within(poll(), what);
  } finally {
    waiting = false;
  }
  expect(holds()).to.equal(true);
}
