import { McpctlError } from '../../core/errors.ts';
import type { Context } from '../who/context.ts';
import { Cancelled } from '../exit.ts';

/** More than an edge takes in one body, whatever it is told to take (64 MiB by default): how much that is, it says itself. @internal */
export const MOST_INPUT_BYTES = 256 * 1024 * 1024;

/** @throws McpctlError `usage` when it is more than can be sent. */
export function needSendable(bytes: number, from: string): void {
  if (bytes > MOST_INPUT_BYTES)
    throw new McpctlError('usage', `There is more than ${MOST_INPUT_BYTES / 2 ** 20} MiB ${from}.`);
}

/** All of stdin, as UTF-8. @throws Cancelled on Ctrl-C, McpctlError `usage` when it is too much. */
export async function readAll({
  terminal,
  interrupts,
}: Pick<Context, 'terminal' | 'interrupts'>): Promise<string> {
  const { stdin } = terminal;
  const stop = (): void => void stdin.destroy();
  interrupts.signal.addEventListener('abort', stop);
  const pieces: Buffer[] = [];
  let size = 0;
  try {
    for await (const piece of stdin as AsyncIterable<Buffer | string>) {
      const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece;
      size += bytes.length;
      needSendable(size, 'on stdin');
      pieces.push(bytes);
    }
  } catch (thrown) {
    throw interrupts.signal.aborted ? new Cancelled() : thrown;
  } finally {
    interrupts.signal.removeEventListener('abort', stop);
  }
  if (interrupts.signal.aborted) throw new Cancelled();
  return Buffer.concat(pieces).toString('utf8');
}
