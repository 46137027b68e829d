import type { Duplex } from 'node:stream';

/**
 * What is written to a socket in one turn of the event loop goes out in one write: each is a system call, and many
 * commands are given in one turn when many callers are answered at once. Nothing is later by it than the turn's end.
 */
export function joinWrites(socket: Duplex): void {
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  let corked = false;
  const uncork = (): void => {
    corked = false;
    socket.uncork();
  };
  socket.write = ((...args: unknown[]) => {
    if (!corked) {
      corked = true;
      socket.cork();
      setImmediate(uncork);
    }
    return write(...args);
  }) as Duplex['write'];
}
