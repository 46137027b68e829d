import { createServer, type RequestListener } from 'node:http';
import { McpctlError } from '../../errors.ts';
import { pause } from '../clock.ts';
import type { Service } from './service.ts';

export interface HealthPort extends Service {
  /** The port in use, once started. */
  port(): number;
}

export interface HealthPortOptions {
  port: number;
  host: string;
  /** Resolves while the process can do its work; bounded here. */
  ready: () => Promise<unknown>;
  /** In Prometheus's text format. */
  metrics: () => Promise<{ type: string; text: string }>;
}

/** A probe is answered within a second, whatever hangs. */
const CHECK_MS = 900;
const STOP_MS = 500;

/**
 * `/livez`, `/readyz` and `/metrics` of a process that serves nothing else over HTTP. It asks for no token: it listens
 * where only probes and scrapers come, on loopback unless told. It takes nothing in but a path.
 */
export function createHealthPort(options: HealthPortOptions): HealthPort {
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 5_000 }, answering(options));
  return {
    name: 'health port',
    start: () =>
      new Promise((resolve, reject) => {
        server.once('error', ({ code = 'unknown' }: NodeJS.ErrnoException) => {
          const why = `Port ${options.port} cannot be listened on (${code}); set MCPCTL_HEALTH_PORT and MCPCTL_HEALTH_HOST to others.`;
          reject(new McpctlError('invalid_config', why));
        });
        server.listen(options.port, options.host, resolve);
      }),
    async stop() {
      if (!server.listening) return;
      const closed = new AbortController();
      server.close(() => closed.abort());
      await pause(STOP_MS, closed.signal);
      server.closeAllConnections();
    },
    port() {
      const address = server.address();
      return typeof address === 'object' && address !== null ? address.port : options.port;
    },
  };
}

function answering({ ready, metrics }: HealthPortOptions): RequestListener {
  const answer = async (path: string): Promise<{ status: number; type: string; text: string }> => {
    const json = (status: number, text: string) => ({
      status,
      type: 'application/json',
      text: JSON.stringify({ status: text }),
    });
    if (path === '/livez') return json(200, 'ok');
    if (path === '/readyz') return (await holds(ready)) ? json(200, 'ok') : json(503, 'not ready');
    if (path === '/metrics') return { status: 200, ...(await metrics()) };
    return json(404, 'there is /livez, /readyz and /metrics here');
  };
  return (req, res) => {
    const [path = ''] = (req.url ?? '').split('?', 1);
    req.resume();
    answer(req.method === 'GET' || req.method === 'HEAD' ? path : '')
      .catch(() => ({ status: 503, type: 'application/json', text: '{"status":"unavailable"}' }))
      .then(({ status, type, text }) => {
        res.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
        res.end(req.method === 'HEAD' ? undefined : text);
      })
      .catch(() => res.destroy());
  };
}

async function holds(ready: () => Promise<unknown>): Promise<boolean> {
  const timeout = new AbortController();
  try {
    const late = pause(CHECK_MS, timeout.signal).then(() => false);
    return await Promise.race([ready().then(() => true), late]);
  } catch {
    return false; // why not is in the log
  } finally {
    timeout.abort();
  }
}
