import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** `up`: from the one who connected to the server; `down`: the answers. */
type Way = 'up' | 'down';

/**
 * A TCP relay in front of a server, to take that server away in the ways that networks do.
 *
 *   const wire = await wireTo({ host: '127.0.0.1', port: 6379 });   // or wireToUrl(databaseUrl)
 *   startSystem({ REDIS_URL: wire.url(redisUrl) });
 *   wire.blackhole({ newOnes: 'open' });                            // what a NAT does that has lost its table
 *   expect(wire.struck().swallowed).to.be.above(0);                 // the fault did happen
 *   wire.mend(); … await wire.close();
 */
export interface Wire {
  port: number;
  /** `url` with the relay's address in it. */
  url(url: string): string;
  /** Connections stay open and nothing passes, new ones neither; `mend` resets them. */
  freeze(): void;
  /** Connections are reset, new ones too: nobody listens. */
  cut(): void;
  /** What is connected now is reset; new connections work. */
  reset(): void;
  /**
   * Half-open: what is connected now is black for ever; bytes vanish, no close or reset passes, and `mend`
   * does not help it. `newOnes` are as black (until `mend`) or work. `way`: only bytes that go there vanish.
   */
  blackhole(how?: { way?: Way | 'both'; newOnes?: 'black' | 'open' }): void;
  /** Nothing passes and nothing is lost: packets are sent again, so all arrives at `mend`. */
  hold(): void;
  /** Whatever passes is so much later, both ways. */
  latency(ms: number): void;
  /** Whatever passes comes in packets of so many bytes; 0: as it came. */
  slice(bytes: number): void;
  /** Each connection carries so many bytes a second each way, like a slow line; 0: as many as come. */
  rate(bytesPerSecond: number): void;
  /** From now on everything works again, but for what `blackhole` took. */
  mend(): void;
  /** What the faults so far did, as proof that they struck. */
  struck(): { resets: number; swallowed: number; heldBytes: number };
  /** Connections that work now. */
  connections(): number;
  /** Their ports as the server sees them, e.g. `client_port` in pg_stat_activity. */
  ports(): number[];
  close(): Promise<void>;
}

interface Link {
  near: Socket;
  far: Socket | undefined;
  black: { up: boolean; down: boolean };
}

/** Beyond this much on its way, the sender is not read: a slow reader is felt through the wire. */
const IN_FLIGHT = 256 * 1024;

export async function wireTo(target: { host: string; port: number }): Promise<Wire> {
  let mode: 'open' | 'frozen' | 'cut' | 'held' = 'open';
  let newOnes: Link['black'] = { up: false, down: false };
  let latencyMs = 0;
  let sliceBytes = 0;
  let rate = 0;
  const struck = { resets: 0, swallowed: 0, heldBytes: 0 };
  const links = new Set<Link>();
  const sockets = new Set<Socket>();

  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
  };
  const resetAll = (those: Iterable<Link>): void => {
    for (const link of [...those]) {
      links.delete(link);
      struck.resets += 1;
      link.near.resetAndDestroy();
      link.far?.resetAndDestroy();
    }
  };

  /** Carries one direction, in order whatever the delay is; ends the other side when this one has ended. */
  const carry = (link: Link, way: Way, sides: { from: Socket; to: Socket }): void => {
    const { from, to } = sides;
    let queue = Promise.resolve();
    let queued = 0;
    const send = async (bytes: Buffer, dueAt: number): Promise<void> => {
      const early = dueAt - performance.now();
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
      const size = sliceBytes > 0 ? sliceBytes : rate > 0 ? Math.ceil(rate / 20) : bytes.length;
      for (let at = 0; at < bytes.length; at += size) {
        if (link.black[way] || to.destroyed) return void (struck.swallowed += bytes.length - at);
        const piece = bytes.subarray(at, at + size);
        if (rate > 0) await new Promise((resolve) => setTimeout(resolve, (piece.length / rate) * 1_000));
        else if (at > 0) await new Promise((resolve) => setImmediate(resolve));
        to.write(piece);
      }
    };
    const resume = (): void => {
      if (mode !== 'held' && queued + to.writableLength <= IN_FLIGHT) from.resume();
    };
    from.on('data', (bytes: Buffer) => {
      if (link.black[way] || mode === 'frozen') return void (struck.swallowed += bytes.length);
      if (queued === 0 && latencyMs === 0 && sliceBytes === 0 && rate === 0) to.write(bytes);
      else {
        queued += bytes.length;
        const dueAt = performance.now() + latencyMs;
        queue = queue
          .then(() => send(bytes, dueAt))
          .finally(() => {
            queued -= bytes.length;
            resume();
          });
      }
      if (queued + to.writableLength > IN_FLIGHT) from.pause();
    });
    to.on('drain', resume);
    from.once('close', (broken) => {
      if (link.black[way] || mode === 'frozen') return;
      links.delete(link);
      void queue.then(() => (broken ? to.resetAndDestroy() : to.destroySoon()));
    });
  };

  const server = createServer((near) => {
    keep(near);
    if (mode === 'cut') {
      struck.resets += 1;
      return void near.resetAndDestroy();
    }
    const link: Link = { near, far: undefined, black: { ...newOnes } };
    links.add(link);
    if (mode === 'frozen' || link.black.up) {
      near.on('data', (bytes: Buffer) => (struck.swallowed += bytes.length));
      near.once('close', () => links.delete(link));
      return;
    }
    const far = connect(target.port, target.host);
    link.far = far;
    keep(far);
    carry(link, 'up', { from: near, to: far });
    carry(link, 'down', { from: far, to: near });
    if (mode === 'held') for (const side of [near, far]) side.pause();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  return {
    port,
    url(url) {
      const through = new URL(url);
      // A Postgres on this machine is reached by its socket otherwise, past this.
      through.searchParams.delete('host');
      through.hostname = '127.0.0.1';
      through.port = String(port);
      return through.href;
    },
    freeze() {
      mode = 'frozen';
    },
    cut() {
      mode = 'cut';
      resetAll(links);
    },
    reset() {
      resetAll(links);
    },
    blackhole({ way = 'both', newOnes: later = 'black' } = {}) {
      const black = { up: way !== 'down', down: way !== 'up' };
      for (const link of links)
        link.black = { up: link.black.up || black.up, down: link.black.down || black.down };
      links.forEach((link) => links.delete(link));
      newOnes = later === 'black' ? black : { up: false, down: false };
    },
    hold() {
      mode = 'held';
      for (const { near, far } of links) {
        struck.heldBytes += 1;
        near.pause();
        far?.pause();
      }
    },
    latency(ms) {
      latencyMs = ms;
    },
    slice(bytes) {
      sliceBytes = bytes;
    },
    rate(bytesPerSecond) {
      rate = bytesPerSecond;
    },
    mend() {
      // What a frozen wire swallowed is lost, as in life: such connections cannot go on.
      if (mode === 'frozen' || mode === 'cut') resetAll(links);
      mode = 'open';
      newOnes = { up: false, down: false };
      latencyMs = 0;
      sliceBytes = 0;
      rate = 0;
      for (const { near, far } of links) {
        near.resume();
        far?.resume();
      }
    },
    struck: () => ({ ...struck }),
    connections: () => links.size,
    ports: () => [...links].flatMap(({ far }) => far?.localPort ?? []),
    close() {
      sockets.forEach((socket) => socket.destroy());
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

const defaultPorts: Record<string, number> = {
  'redis:': 6379,
  'rediss:': 6379,
  'postgres:': 5432,
  'postgresql:': 5432,
};

/** To the server that a URL names. */
export function wireToUrl(url: string): Promise<Wire> {
  const { protocol, hostname, port } = new URL(url);
  return wireTo({ host: hostname, port: Number(port || (defaultPorts[protocol] ?? 80)) });
}
