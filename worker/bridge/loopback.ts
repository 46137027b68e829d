import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { isLoopback } from '../../core/runtime/network/loopback.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';
import type { ProjectEndpoint } from './project-endpoint.ts';

export interface LoopbackDeps {
  port: number;
  endpoint: ProjectEndpoint;
  log: Log;
}

const MOST_CONNECTIONS = 256;
const HEADERS_WITHIN_MS = 10_000;
const methods = ['GET', 'POST', 'DELETE'] as const;
/** What of a request goes on; the token is this home's. */
const asked = /^(accept|content-type|last-event-id|idempotency-key|mcp-[a-z0-9-]+)$/;
/** What of an answer goes back. */
const answered =
  /^(content-type|retry-after|allow|cache-control|idempotency-replayed|x-accel-buffering|mcp-[a-z0-9-]+)$/;

/**
 * The MCP endpoints of the edge, for programs of this machine: `http://127.0.0.1:<port>/mcp/projects/<name>`, called with this
 * home's token, whoever on this machine it is. A page of elsewhere gets nothing: neither by its origin, nor by a name of its own
 * for this address.
 */
export function createLoopback({ port, endpoint, log }: LoopbackDeps): Service & { port(): number } {
  const server = createServer((req, res) => {
    relay(endpoint, req, res).catch((thrown: unknown) => {
      log.debug({ why: messageOf(thrown) }, 'a call of the loopback URL broke off');
      res.destroy();
    });
  });
  server.maxConnections = MOST_CONNECTIONS;
  server.headersTimeout = HEADERS_WITHIN_MS;
  return {
    name: 'loopback URL',
    async start() {
      await new Promise<void>((resolve, reject) => {
        server.once('error', (thrown: NodeJS.ErrnoException) =>
          reject(
            new McpctlError(
              'invalid_config',
              `config.json: mcp.listen: port ${String(port)} of this machine cannot be had (${thrown.code ?? 'unknown'}); name another.`,
            ),
          ),
        );
        server.listen(port, '127.0.0.1', resolve);
      });
      server.on('error', () => undefined); // a connection that broke concerns nobody else
    },
    port() {
      const address = server.address();
      return typeof address === 'object' && address !== null ? address.port : port;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function relay(endpoint: ProjectEndpoint, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const refuse = (status: number, message: string): void => {
    res.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
    res.end(`${JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32_000, message } })}\n`);
  };
  const { origin, host = '' } = req.headers;
  if (!isLoopback(hostOf(`http://${host}`)) || (origin !== undefined && !isLoopback(hostOf(origin))))
    return refuse(403, 'Only programs and pages of this machine may call here.');
  const project = /^\/mcp\/projects\/([a-z0-9][a-z0-9._-]*)$/.exec(req.url ?? '')?.[1];
  const method = methods.find((name) => name === req.method);
  if (project === undefined || !method)
    return refuse(404, 'There is nothing here; the URL of a project is /mcp/projects/NAME.');
  const gone = new AbortController();
  res.once('close', () => gone.abort());
  const headers = Object.fromEntries(
    Object.entries(req.headers).flatMap(([name, value]) =>
      asked.test(name) && typeof value === 'string' ? [[name, value]] : [],
    ),
  );
  const body = method === 'POST' ? { body: req } : {};
  try {
    const answer = await endpoint.call(project, { method, headers, ...body, signal: gone.signal });
    res.writeHead(
      answer.status,
      Object.fromEntries([...answer.headers].filter(([name]) => answered.test(name))),
    );
    res.flushHeaders();
    await pipeline(answer.body, res);
  } catch (thrown) {
    if (gone.signal.aborted) return;
    if (res.headersSent) throw thrown;
    refuse(502, messageOf(thrown));
  }
}

const hostOf = (url: string): string =>
  URL.canParse(url) ? new URL(url).hostname.replace(/^\[(.*)\]$/, '$1') : '';
