import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An MCP server by Streamable HTTP, which remembers what it was told beside messages. */
export interface McpServerAt {
  url: string;
  seen: IncomingHttpHeaders[];
  /** Methods, in the order in which they came. */
  asked: string[];
  close(): Promise<void>;
}

interface Sent {
  id?: number;
  /** Of an answer to what was asked of its client there is none. */
  method?: string;
  params?: { name?: string; _meta?: { progressToken?: number } };
}

const tools = ['whoami', 'steps', 'big', 'breaks', 'hangs'].map((name) => ({
  ...{ name, description: name, inputSchema: { type: 'object' } },
}));

/** @param odd what it does instead of answering; false: it answers. */
export async function startMcpServer(
  odd: (sent: Sent, res: ServerResponse, body: string) => boolean = () => false,
): Promise<McpServerAt> {
  const seen: IncomingHttpHeaders[] = [];
  const asked: string[] = [];
  const server = createServer((req, res) => {
    seen.push(req.headers);
    let body = '';
    req.setEncoding('utf8').on('data', (piece: string) => (body += piece));
    req.on('end', () => {
      if (req.method === 'DELETE') return void res.writeHead(200).end();
      const sent = JSON.parse(body) as Sent;
      if (sent.method !== undefined) asked.push(sent.method);
      if (!odd(sent, res, body)) answer(sent, res, req.headers);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/mcp`,
    seen,
    asked,
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function answer({ id, method, params }: Sent, res: ServerResponse, headers: IncomingHttpHeaders): void {
  if (id === undefined) return void res.writeHead(202).end();
  const say = (result: object): void => {
    res.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': 'one' });
    res.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
  };
  const text = (value: string) => ({ content: [{ type: 'text', text: value }] });
  const serverInfo = { name: 'dialled', version: '1.0.0' };
  if (method === 'initialize')
    return say({ protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo });
  if (method === 'tools/list') return say({ tools });
  if (method !== 'tools/call') return say({});
  switch (params?.name ?? '') {
    case 'whoami':
      return say(text(`You are ${String(headers.authorization)}.`));
    case 'big':
      return say(text('x'.repeat(11 * 1024 * 1024)));
    case 'breaks':
      return void res.destroy();
    case 'hangs':
      return;
    default: {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      const event = (message: object): void =>
        void res.write(`data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`);
      const progressToken = params?._meta?.progressToken;
      for (const progress of [1, 2])
        event({ method: 'notifications/progress', params: { progressToken, progress } });
      event({ method: 'notifications/tools/list_changed' });
      event({ id: 99, method: 'ping' });
      event({ id, result: text('done') });
      res.end();
    }
  }
}
