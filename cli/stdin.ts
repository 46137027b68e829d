import { McpctlError } from '../core/errors.ts';
import type { Context } from './context.ts';
import { Cancelled } from './exit.ts';

/** More than an edge takes in one body. */
const MOST_BYTES = 50_000_000;

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
      const bytes = Buffer.from(piece);
      size += bytes.length;
      if (size > MOST_BYTES)
        throw new McpctlError('usage', `There is more than ${MOST_BYTES / 1e6} MB on stdin.`);
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
