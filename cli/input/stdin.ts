import { readFile, stat } from 'node:fs/promises';
import { McpctlError, messageOf } from '../../core/errors.ts';
import type { Context } from '../who/context.ts';
import { Cancelled } from '../exit.ts';

/** More than an edge takes in one body, whatever it is told to take (64 MiB by default): how much that is, it says itself. @internal */
export const MOST_INPUT_BYTES = 256 * 1024 * 1024;

/** @throws McpctlError `usage` when it is more than can be sent. */
function needSendable(bytes: number, from: string): void {
  if (bytes > MOST_INPUT_BYTES)
    throw new McpctlError('usage', `There is more than ${MOST_INPUT_BYTES / 2 ** 20} MiB ${from}.`);
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What is no UTF-8 would else be sent with other letters in its place. @throws McpctlError `usage`. */
function textOf(bytes: Uint8Array, called: string): string {
  try {
    return strict.decode(bytes);
  } catch {
    throw new McpctlError('usage', `${called} is no text in UTF-8; save it as that.`);
  }
}

/** All of a file that a person names, as UTF-8. @param called how it is told of. @throws McpctlError `usage` when it cannot be read, or is too much. */
export async function readFileText(path: string, called = path): Promise<string> {
  try {
    needSendable((await stat(path)).size, `in ${path}`);
    return textOf(await readFile(path), called);
  } catch (thrown) {
    if (thrown instanceof McpctlError) throw thrown;
    throw new McpctlError('usage', `${called} cannot be read: ${messageOf(thrown)}`);
  }
}

/** All of stdin, as UTF-8, or as `decode` reads it. @throws Cancelled on Ctrl-C, McpctlError `usage` when it is too much. */
export async function readAll(
  { terminal, interrupts }: Pick<Context, 'terminal' | 'interrupts'>,
  decode = (bytes: Buffer): string => textOf(bytes, 'What came on stdin'),
): Promise<string> {
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
  return decode(Buffer.concat(pieces));
}
