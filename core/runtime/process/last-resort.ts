import type { Log } from '../log.ts';

/**
 * The second net under every process: a rejection that nobody caught is a fault of ours, told in the log with its stack,
 * and no reason to cut a thousand streams that have nothing to do with it. The first net is the catch where it is made:
 * lint allows no promise that is left alone. Exceptions that are thrown past everything still end the process, as then
 * nobody knows what was left half done. Only a `main.ts` calls this.
 */
export function outliveRejections(log: Log): void {
  process.on('unhandledRejection', (reason: unknown) => {
    log.error({ err: reason }, 'a rejection that nobody caught; this process goes on');
  });
}
