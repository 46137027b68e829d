import { createServer, request } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { createSockets } from './sockets.ts';

interface Address {
  host: string;
  port: number;
}

/**
 * A corporate proxy: tunnels (`CONNECT`) and plain requests (`GET http://…`), to the places it knows alone.
 * It resolves the names itself, so a name that no DNS has is reached through it or not at all.
 */
export interface Proxy {
  url: string;
  /** `host:port` of every tunnel and request that was let through, in order. */
  passed: string[];
  /** The same of those that were refused. */
  refused: string[];
  /** Tunnels that are open. */
  open(): number;
  close(): Promise<void>;
}

export async function startProxy(places: Readonly<Record<string, Address>>): Promise<Proxy> {
  const sockets = createSockets();
  const tunnels = new Set<Socket>();
  const passed: string[] = [];
  const refused: string[] = [];
  const find = (authority: string): Address | undefined => {
    const place = places[authority];
    (place ? passed : refused).push(authority);
    return place;
  };

  const server = createServer((req, res) => {
    const url = new URL(req.url ?? '', 'http://none');
    const place = find(`${url.hostname}:${url.port || '80'}`);
    if (!place) return void res.writeHead(403).end('not from here');
    const { method, headers } = req;
    const onward = request({ ...place, method, headers, path: url.pathname + url.search }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(res);
    });
    onward.once('error', () => res.destroy());
    res.once('close', () => onward.destroy());
    req.pipe(onward);
  });
  server.on('connection', (socket) => sockets.keep(socket));
  server.on('connect', (req, near: Socket, head: Buffer) => {
    const place = find(req.url ?? '');
    if (!place) return void near.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
    const far = connect(place.port, place.host, () => {
      near.write('HTTP/1.1 200 Connection established\r\n\r\n');
      far.write(head);
      sockets.join(near, far);
    });
    sockets.keep(far);
    tunnels.add(far);
    far.once('close', () => {
      tunnels.delete(far);
      near.destroySoon(); // also where it never connected
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    passed,
    refused,
    open: () => tunnels.size,
    close: () => sockets.closeWith(server),
  };
}
