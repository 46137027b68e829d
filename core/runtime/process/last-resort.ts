import type { Log } from '../log.ts';

/** What else was thrown may be anything, a key too. */
const asError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new TypeError('what was thrown is no error');

/**
 * The second net under every process. A rejection that nobody caught is a fault of ours, told in the log with its stack,
 * and no reason to cut a thousand streams that have nothing to do with it. The first net is the catch where it is made:
 * lint allows no promise that is left alone. An exception that is thrown past everything ends the process, with code 1, as
 * then nobody knows what was left half done; it is told by the log as well: what Node prints by itself has all that hangs
 * on an error, of ioredis the arguments of its command, and so passwords and what was asked. Only a `main.ts` calls this.
 * @param leave ends the process.
 */
export function outliveRejections(log: Log, leave: (code: number) => void): void {
  process.on('unhandledRejection', (reason: unknown) => {
    log.error({ err: asError(reason) }, 'a rejection that nobody caught; this process goes on');
  });
  process.on('uncaughtException', (thrown: unknown) => {
    log.fatal({ err: asError(thrown) }, 'an exception that nobody caught; this process ends');
    leave(1);
  });
}
