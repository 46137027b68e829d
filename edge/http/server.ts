import { createServer, ServerResponse, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Express } from 'express';
import { McpctlError } from '../../core/errors.ts';
import { once } from 'node:events';
import { pause } from '../../core/runtime/clock.ts';
import type { Service } from '../../core/runtime/process/service.ts';
import { guard, type Guarding } from '../connections/guard.ts';
import { askedInPieces } from '../connections/pieces.ts';

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
  /** What connections may hold; the usual where none are given. */
  limits?: Guarding['limits'];
  metrics?: Guarding['metrics'];
}

/** Where an edge is built without settings. */
const usualLimits: Guarding['limits'] = {
  maxConnections: 10_000,
  maxAddressConnections: 1_500,
  maxConnectionRequests: 8,
  trustProxy: 0,
};
const MOST_HEADER_BYTES = 16 * 1024;
/** Between `leaving` and the cut. */
const LAST_WORDS_MS = 1_000;
/** With nothing in flight for so long, whoever still holds a connection is not in the middle of using it. */
const QUIET_MS = 500;
/** Asked whether it is ready it says that it is not, and nobody is in the middle of anything. */
const probes: ReadonlySet<string> = new Set(['/readyz', '/livez']);
/** So long may who comes put off that it is quiet. */
const MOST_QUIET_MS = 3_000;

/**
 * Requests and answers that begin as the app's own. Express makes them so as they come, by another prototype, and an object
 * whose prototype was changed has a shape that no other has: all code that reads a field of one looks for it anew. That was
 * a tenth of an edge's CPU for a call. What is the app's own already it leaves as it is.
 */
function ownOf(app: Express) {
  const Asked = askedInPieces();
  class Answer extends ServerResponse<InstanceType<typeof Asked>> {}
  app.request = Object.setPrototypeOf(Asked.prototype, app.request) as Express['request'];
  app.response = Object.setPrototypeOf(Answer.prototype, app.response) as Express['response'];
  return { IncomingMessage: Asked, ServerResponse: Answer };
}

/** Headers must come soon, kept-alive connections outlive a load balancer's 60 s, tokens leave at once. */
function openServer(app: Express): Server {
  return createServer({
    ...ownOf(app),
    headersTimeout: 10_000,
    // A worker's answer comes up for as long as it takes; other bodies have a limit of their own (body/arrive.ts).
    requestTimeout: 0,
    connectionsCheckingInterval: 5_000,
    keepAliveTimeout: 75_000,
    maxHeaderSize: MOST_HEADER_BYTES,
    noDelay: true,
    keepAlive: true,
  });
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
 * `over` aborts when nothing is in flight, and nobody is in the middle of using a kept connection. A connection that is
 * closed under a caller who has just written to it is an error that the caller may not repeat; so from `begin` on each
 * answer says `connection: close`, and what was kept before is closed when it has been quiet for a moment. Whoever asks meanwhile,
 * as their balancer has not noticed yet, puts that off, for some seconds.
 */
function watchTraffic(server: Server): { begin(): void; keeps(): boolean; readonly over: AbortSignal } {
  const over = new AbortController();
  let [inFlight, open, leaving, quiet] = [0, 0, false, true];
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    if (leaving && inFlight === 0 && quiet) over.abort();
  };
  let leftAt = 0;
  const beginQuiet = (): void => {
    quiet = false;
    clearTimeout(timer);
    timer = setTimeout(() => {
      quiet = true;
      // Else whoever keeps several would be refused over one after the other, while an answer takes long.
      server.closeIdleConnections();
      look();
    }, QUIET_MS);
  };
  server.on('connection', (socket) => {
    open += 1;
    socket.once('close', () => (open -= 1));
  });
  // First of all who hear of it: an answer may be sent before the next one does.
  server.prependListener('request', (req, res) => {
    inFlight += 1;
    const isLast = leaving;
    const isLate = leaving && !quiet && performance.now() - leftAt < MOST_QUIET_MS;
    if (isLate && !probes.has(req.url ?? '')) beginQuiet();
    if (isLast) res.shouldKeepAlive = false;
    res.once('close', () => {
      inFlight -= 1;
      if (leaving && !isLast) beginQuiet();
      look();
    });
  });
  const begin = (): void => {
    leaving = true;
    leftAt = performance.now();
    if (open > 0) beginQuiet();
    look();
  };
  return { begin, keeps: () => !leaving, over: over.signal };
}

/**
 * The HTTP server. While there is traffic at `stop` it goes on listening, so that probes read "not ready" and callers a
 * 503, rather than a refused connection.
 */
export function createEdgeServer(options: EdgeServerOptions): EdgeServer {
  const server = openServer(options.app);
  const traffic = watchTraffic(server);
  const { app, limits = usualLimits, metrics } = options;
  guard(server, { app: (req, res) => void app(req, res), limits, metrics, keeps: () => traffic.keeps() });
  let stopped: Promise<void> | undefined;

  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    traffic.begin();
    const endsAt = performance.now() + options.graceMs;
    const lastWordsMs = Math.min(LAST_WORDS_MS, options.graceMs);
    await pause(options.graceMs - lastWordsMs, traffic.over);
    options.leaving.abort();
    await pause(lastWordsMs, traffic.over);
    const closed = new AbortController();
    server.close(() => closed.abort());
    // Who has connected a moment ago is about to ask, and hears that it leaves.
    await pause(Math.max(0, Math.min(QUIET_MS, endsAt - performance.now())), closed.signal);
    server.closeAllConnections();
    if (!closed.signal.aborted) await once(closed.signal, 'abort');
  };

  return {
    name: 'http server',
    start: () => listen(server, options),
    stop: () => (stopped ??= stop()),
    port: () => (server.address() as AddressInfo | null)?.port ?? options.port,
  };
}
