import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { McpctlError } from '../core/errors.ts';
import { pause, type Clock } from '../core/runtime/clock.ts';

/** Below the range from which systems take ports for outgoing connections, so that none of those takes it. */
const LOWEST = 20_000;
const HIGHEST = 32_000;
const TRIES = 200;

/**
 * A port of 127.0.0.1 that was free a moment ago; whoever uses it must bear that it was taken meanwhile.
 * @returns 0 when there is none, which no server will be able to use.
 */
export async function freePort(): Promise<number> {
  for (let n = 0; n < TRIES; n += 1) {
    const port = randomInt(LOWEST, HIGHEST);
    if (await isFree(port)) return port;
  }
  return 0;
}

/** Whether the port of 127.0.0.1 can be listened on now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

const FREE_MS = 5_000;

/**
 * Waits a moment for a port: what was killed a second ago may still be about to leave it.
 * @throws McpctlError `setup_failed` when it stays taken.
 */
export async function untilFree(port: number, clock: Clock): Promise<void> {
  const until = clock.elapsed() + FREE_MS;
  while (!(await isFree(port))) {
    if (clock.elapsed() > until) {
      throw new McpctlError(
        'setup_failed',
        `Port ${port} is taken by another program: set PORT to a free one, for example PORT=${port + 1} npm start.`,
      );
    }
    await pause(100);
  }
}
