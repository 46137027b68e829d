/**
 * The plain reverse proxy that the bench compares with: `http-proxy` as its documentation sets it up for speed,
 * with kept connections to the backend. `node proxy.mjs <port> <backend's URL>`.
 */
import { Agent, createServer } from 'node:http';
import httpProxy from 'http-proxy';

const [port, target] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: Infinity, noDelay: true });
const proxy = httpProxy.createProxyServer({ target, agent });
proxy.on('error', (_error, _req, res) => {
  if (res.writeHead && !res.headersSent) res.writeHead(502);
  res.end?.();
});
// http-proxy itself leaves the backend's request open when the caller goes away in the middle of the answer.
proxy.on('proxyReq', (proxyReq, _req, res) => {
  res.once('close', () => {
    if (!res.writableFinished) proxyReq.destroy();
  });
});
const server = createServer((req, res) => proxy.web(req, res));
server.on('connection', (socket) => socket.setNoDelay(true));
server.listen(Number(port), '127.0.0.1', () => process.stdout.write('ready\n'));
process.stdin.on('end', () => process.exit(0)).resume();
