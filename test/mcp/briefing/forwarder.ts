import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hello } from '../streamed.ts';

/** What stands between a client and its project, as some proxies and hosted clients are. */
export interface Forwarder {
  url: string;
  close(): Promise<void>;
}

const SESSION = 'mcp-session-id';
/** Of a request what says how it is to be understood. */
const carried = ['authorization', 'content-type', 'accept', 'mcp-protocol-version', 'mcp-method', 'mcp-name'];

/** Begins a session for one call, and ends it behind that, as clients do that are begun for each call. */
async function inOwnSession(
  to: string,
  headers: Record<string, string>,
  send: (headers: Record<string, string>) => Promise<Response>,
): Promise<Response> {
  const begin = { jsonrpc: '2.0', id: 'begin', method: 'initialize', params: hello };
  const begun = await fetch(to, { method: 'POST', headers, body: JSON.stringify(begin) });
  const own = { ...headers, [SESSION]: begun.headers.get(SESSION) ?? '' };
  const answer = await send(own);
  const text = await answer.text();
  const ended = await fetch(to, { method: 'DELETE', headers: own });
  if (ended.status !== 204) throw new TypeError(`a session was not ended: ${String(ended.status)}`);
  const { status } = answer;
  return new Response([202, 204].includes(status) ? null : text, { status, headers: answer.headers });
}

/** @param how `strips`: no side hears of the other's session. `fresh`: each call is in a session of its own. */
export async function forwarder(to: string, how: 'strips' | 'fresh'): Promise<Forwarder> {
  const forward = async (method: string, given: Headers, body: string): Promise<Response> => {
    const headers = Object.fromEntries([...given].filter(([name]) => carried.includes(name)));
    const send = (with_: Record<string, string>) =>
      fetch(to, { method, headers: with_, ...(body !== '' && { body }) });
    const isCall = how === 'fresh' && method === 'POST' && !body.includes('"initialize"');
    return isCall ? await inOwnSession(to, headers, send) : await send(headers);
  };
  const server = createServer((req, res) => {
    void (async () => {
      try {
        let body = '';
        for await (const piece of req) body += String(piece);
        const answer = await forward(
          req.method ?? '',
          new Headers(req.headers as Record<string, string>),
          body,
        );
        const type = answer.headers.get('content-type');
        res.writeHead(answer.status, type === null ? {} : { 'content-type': type });
        res.end(await answer.text());
      } catch {
        res.destroy();
      }
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${String(port)}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
