import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a client of this edge has sent. */
export interface Heard {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  /** Its JSON; undefined where there is none. */
  message: { id?: string | number; method?: string; params?: Record<string, unknown> } | undefined;
}

export interface ScriptedEdge {
  url: string;
  heard: Heard[];
  close(): Promise<void>;
}

/** An MCP endpoint that answers as a test says, over real sockets. */
export async function scriptedEdge(
  answer: (heard: Heard, res: ServerResponse) => void,
): Promise<ScriptedEdge> {
  const heard: Heard[] = [];
  const server = createServer((req, res) => {
    let text = '';
    req.setEncoding('utf8');
    req.on('data', (piece: string) => (text += piece));
    req.on('end', () => {
      const message = text === '' ? undefined : (JSON.parse(text) as Heard['message']);
      const request = { method: req.method ?? '', path: req.url ?? '', headers: req.headers, message };
      heard.push(request);
      answer(request, res);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    heard,
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

export function json(res: ServerResponse, body: unknown, headers: Record<string, string> = {}): void {
  res.writeHead(200, { 'content-type': 'application/json', ...headers });
  res.end(JSON.stringify(body, null, 2));
}
