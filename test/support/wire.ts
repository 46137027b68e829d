import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A TCP relay in front of a server, to take that server away in the ways that networks do. */
export interface Wire {
  /** `url` with the relay's address in it. */
  url(url: string): string;
  /** Connections stay open and nothing passes: a half-open network. */
  freeze(): void;
  /** Connections are reset, new ones too. */
  cut(): void;
  mend(): void;
  close(): Promise<void>;
}

export async function wireTo(target: { host: string; port: number }): Promise<Wire> {
  let mode: 'open' | 'frozen' | 'cut' = 'open';
  const sockets = new Set<Socket>();
  const hold = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
  };
  const server = createServer((near) => {
    hold(near);
    if (mode === 'cut') return void near.destroy();
    if (mode === 'frozen') return;
    const far = connect(target.port, target.host);
    hold(far);
    near.on('data', (chunk) => mode === 'open' && far.write(chunk));
    far.on('data', (chunk) => mode === 'open' && near.write(chunk));
    near.once('close', () => far.destroy());
    far.once('close', () => near.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const drop = (): void => sockets.forEach((socket) => socket.destroy());
  return {
    url(url) {
      const through = new URL(url);
      through.hostname = '127.0.0.1';
      through.port = String(port);
      return through.href;
    },
    freeze() {
      mode = 'frozen';
    },
    cut() {
      mode = 'cut';
      drop();
    },
    mend() {
      // What was swallowed meanwhile is lost, as in life: such connections cannot go on.
      drop();
      mode = 'open';
    },
    close() {
      drop();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
