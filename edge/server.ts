import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Express } from 'express';
import { McpctlError } from '../core/errors.ts';
import { pause } from '../core/runtime/clock.ts';
import type { Service } from '../core/runtime/service.ts';

export interface EdgeServer extends Service {
  /** The port in use, once started. */
  port(): number;
}

export interface EdgeServerOptions {
  app: Express;
  port: number;
  /** Empty: every address, IPv6 too. */
  host: string;
  /** After `stop` began: how long requests may take to end before their connections are cut. */
  graceMs: number;
  /** Aborted shortly before that, so that open streams can say why they end. */
  leaving: AbortController;
}

/** Between `leaving` and the cut. */
const LAST_WORDS_MS = 1_000;

/** Headers must come soon, kept-alive connections outlive a load balancer's 60 s, tokens leave at once. */
function openServer(app: Express): Server {
  return createServer(
    {
      headersTimeout: 10_000,
      // A worker's answer comes up for as long as it takes; other bodies have a limit of their own (body.ts).
      requestTimeout: 0,
      connectionsCheckingInterval: 5_000,
      keepAliveTimeout: 75_000,
      noDelay: true,
      keepAlive: true,
    },
    app,
  );
}

function listen(server: Server, { port, host }: EdgeServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (thrown: NodeJS.ErrnoException) => {
      const why =
        thrown.code === 'EADDRINUSE'
          ? `Port ${port} is in use; set PORT to another one.`
          : `Port ${port} cannot be listened on (${thrown.code ?? 'unknown'}); check PORT and MCPCTL_HOST.`;
      reject(new McpctlError('invalid_config', why));
    });
    server.listen({ port, ...(host === '' ? {} : { host }) }, resolve);
  });
}

/**
 * The HTTP server. While requests are in flight at `stop` it goes on listening, so that probes read "not
 * ready" and callers a 503, rather than a refused connection.
 */
export function createEdgeServer(options: EdgeServerOptions): EdgeServer {
  const server = openServer(options.app);
  let inFlight = 0;
  const idle = new AbortController();
  let stopped: Promise<void> | undefined;
  server.on('request', (_req, res) => {
    inFlight += 1;
    res.once('close', () => {
      inFlight -= 1;
      if (inFlight === 0 && stopped) idle.abort();
    });
  });

  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    if (inFlight === 0) idle.abort();
    await pause(Math.max(0, options.graceMs - LAST_WORDS_MS), idle.signal);
    options.leaving.abort();
    await pause(LAST_WORDS_MS, idle.signal);
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
  };

  return {
    name: 'http server',
    start: () => listen(server, options),
    stop: () => (stopped ??= stop()),
    port: () => (server.address() as AddressInfo | null)?.port ?? options.port,
  };
}
