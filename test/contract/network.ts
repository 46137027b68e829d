import { Socket, type SocketConnectOpts } from 'node:net';
import { expect } from 'chai';

/** Every connection that this process opens, by host: no client may speak to anybody but the edge. */
export interface Network {
  /** Hosts beyond this machine that something wanted to connect to; such a connection is refused. */
  strangers: string[];
  stop(): void;
}

/** Nobody listens there: what is not let through is refused, as a network would. */
const NOBODY = 1;
const here = new Set(['localhost', '127.0.0.1', '::1', '::ffff:127.0.0.1']);

export function watchNetwork(): Network {
  const strangers: string[] = [];
  // oxlint-disable-next-line typescript/unbound-method -- it is put back as it was, and called on a socket
  const { connect } = Socket.prototype;
  Socket.prototype.connect = function (this: Socket, ...args: unknown[]): Socket {
    // net.connect hands on its arguments as one list that it has put in order.
    const first: unknown = Array.isArray(args[0]) ? args[0][0] : args[0];
    const options = (typeof first === 'object' ? first : { port: first, host: args[1] }) as Partial<
      SocketConnectOpts & { host: string; path: string }
    >;
    const host = typeof options.host === 'string' ? options.host : 'localhost';
    if (options.path !== undefined && options.host === undefined) return connect.apply(this, args as never);
    if (here.has(host)) return connect.apply(this, args as never);
    strangers.push(host);
    return connect.call(this, { host: '127.0.0.1', port: NOBODY } as never);
  };
  return {
    strangers,
    stop: () => void (Socket.prototype.connect = connect),
  };
}

export function networkFacts(network: () => Network): void {
  describe('the network', () => {
    it('was left alone by every client: nothing but this machine was connected to', () => {
      expect(network().strangers).to.deep.equal([]);
    });

    it('would have been seen', async () => {
      const { strangers } = network();
      for (const url of ['http://192.0.2.1/', 'https://telemetry.invalid/'])
        await fetch(url).catch(() => undefined);
      expect(strangers.splice(0)).to.deep.equal(['192.0.2.1', 'telemetry.invalid']);
    });
  });
}
