import type { Server, Socket } from 'node:net';

/** The sockets of a test's own servers, which are closed with them however open they are. */
export interface Sockets {
  keep(socket: Socket): void;
  /** Carries bytes both ways; when one side ends, or breaks, so does the other. */
  join(near: Socket, far: Socket): void;
  closeWith(...servers: readonly Server[]): Promise<void>;
}

export function createSockets(): Sockets {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    if (sockets.has(socket)) return;
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
  };
  return {
    keep,
    join(near, far) {
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        keep(from);
        from.once('close', (broken) => (broken ? to.resetAndDestroy() : to.destroySoon()));
        from.pipe(to);
      }
    },
    async closeWith(...servers) {
      for (const socket of sockets) socket.destroy();
      await Promise.all(
        servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
      );
    },
  };
}
