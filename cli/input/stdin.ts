import { McpctlError, messageOf } from '../../core/errors.ts';
import { anySignal } from '../../core/runtime/any-signal.ts';
import { ENDS_WITHIN_MS, needAtMost, readNamed } from '../../core/runtime/files/named-file.ts';
import type { Context } from '../who/context.ts';
import { Cancelled } from '../exit.ts';

/** More than an edge takes in one body, whatever it is told to take (64 MiB by default): how much that is, it says itself. @internal */
export const MOST_INPUT_BYTES = 256 * 1024 * 1024;

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What is no UTF-8 would else be sent with other letters in its place. @throws McpctlError `usage`. */
function textOf(bytes: Uint8Array, called: string): string {
  try {
    return strict.decode(bytes);
  } catch {
    throw new McpctlError('usage', `${called} is no text in UTF-8; save it as that.`);
  }
}

interface Named {
  /** How it is told of; its path. */
  called?: string;
  most?: number;
}

/**
 * All of a file that a person names, or of what a shell gives for one (`<(command)`), as UTF-8.
 * @throws McpctlError `usage` when it cannot be read, is too much, or has no end; Cancelled on Ctrl-C.
 */
export async function readFileText(
  interrupts: Pick<Context['interrupts'], 'signal'>,
  path: string,
  { called = path, most = MOST_INPUT_BYTES }: Named = {},
): Promise<string> {
  const { signal } = interrupts;
  try {
    return textOf(await readNamed(path, { most, signal }), called);
  } catch (thrown) {
    if (signal.aborted) throw new Cancelled();
    if (thrown instanceof McpctlError) throw thrown;
    throw new McpctlError('usage', `${called} cannot be read: ${messageOf(thrown)}`);
  }
}

interface Reading {
  /** Of bytes, the text; strictly UTF-8. */
  decode?: (bytes: Buffer) => string;
  endsWithinMs?: number;
}

/**
 * All of stdin, as UTF-8, or as `decode` reads it.
 * @throws Cancelled on Ctrl-C, McpctlError `usage` when it is too much, or has not ended in time.
 */
export async function readAll(
  { terminal, interrupts }: Pick<Context, 'terminal' | 'interrupts'>,
  { decode = (bytes) => textOf(bytes, 'What came on stdin'), endsWithinMs = ENDS_WITHIN_MS }: Reading = {},
): Promise<string> {
  const { stdin, stderr, tty } = terminal;
  if (tty.stdin && tty.stderr) stderr.write('Reading what is typed here; Ctrl-D ends it.\n');
  const late = AbortSignal.timeout(endsWithinMs);
  const stop = (): void => void stdin.destroy();
  const signal = anySignal([interrupts.signal, late]);
  signal.addEventListener('abort', stop);
  const ended = (): Error =>
    interrupts.signal.aborted
      ? new Cancelled()
      : new McpctlError(
          'usage',
          `What comes on stdin has not ended within ${Math.round(endsWithinMs / 1_000)} s; end what writes to it, or name a file.`,
        );
  const pieces: Buffer[] = [];
  let size = 0;
  try {
    for await (const piece of stdin as AsyncIterable<Buffer | string>) {
      const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece;
      size += bytes.length;
      needAtMost(size, MOST_INPUT_BYTES, 'on stdin');
      pieces.push(bytes);
    }
  } catch (thrown) {
    throw signal.aborted ? ended() : thrown;
  } finally {
    signal.removeEventListener('abort', stop);
  }
  if (signal.aborted) throw ended();
  return decode(Buffer.concat(pieces));
}

/** What an option names: a file, or `-` for stdin. @throws as `readFileText`, `readAll`. */
export const readText = (ctx: Pick<Context, 'terminal' | 'interrupts'>, path: string): Promise<string> =>
  path === '-' ? readAll(ctx) : readFileText(ctx.interrupts, path);
