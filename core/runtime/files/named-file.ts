import { open } from 'node:fs/promises';
import { McpctlError } from '../../errors.ts';
import { pause, systemClock, type Clock } from '../clock.ts';
import { READ_AT_ONCE } from './plain-file.ts';

/** How long a pipe that nobody writes to is waited for: whoever writes may be started behind us. */
const BEGINS_WITHIN_MS = 30_000;
/** How long anything that is read to its end may take: a command that answers slowly is done by then. */
export const ENDS_WITHIN_MS = 10 * 60_000;
/** A pipe tells nobody that something has come: it is looked at so often. */
const LOOK_MS = 20;
const PIECE_BYTES = 64 * 1024;

/** A pipe that the shell has opened (`<(command)`): whoever writes to it was there before us, and nobody comes later. */
const OPENED_BEFORE = /^\/(?:dev\/(?:fd\/|stdin$)|proc\/)/;

interface Reading {
  /** More bytes are refused. */
  most: number;
  /** Ends it with its reason. */
  signal?: AbortSignal | undefined;
  beginsWithinMs?: number;
  endsWithinMs?: number;
  clock?: Clock;
}

const sizeOf = (bytes: number): string =>
  bytes < 2 ** 20 ? `${Math.floor(bytes / 1024)} KiB` : `${Math.floor(bytes / 2 ** 20)} MiB`;

/** @throws McpctlError `usage` when it is more than is taken. @param from where it is, as in "in a.yaml". */
export function needAtMost(bytes: number, most: number, from: string): void {
  if (bytes > most) throw new McpctlError('usage', `There is more than ${sizeOf(most)} ${from}.`);
}

/**
 * The bytes of what a person names in a command: a file, or what stands for one (`<(command)`, a named pipe, /dev/stdin).
 * What has no end ends by its size or by time, and a pipe that nobody writes to is given up.
 * @throws McpctlError `usage`; the file system's error (ENOENT, EACCES); the signal's reason.
 */
export async function readNamed(
  path: string,
  {
    most,
    signal,
    beginsWithinMs = BEGINS_WITHIN_MS,
    endsWithinMs = ENDS_WITHIN_MS,
    clock = systemClock,
  }: Reading,
): Promise<Buffer> {
  const file = await open(path, READ_AT_ONCE);
  try {
    const stat = await file.stat();
    if (stat.isDirectory()) throw new McpctlError('usage', `${path} is a folder, and not a file.`);
    if (!stat.isFile() && !stat.isFIFO() && !stat.isCharacterDevice())
      throw new McpctlError('usage', `${path} is no file.`);
    needAtMost(stat.size, most, `in ${path}`);
    const isAwaited = stat.isFIFO() && !OPENED_BEFORE.test(path);
    const pieces: Buffer[] = [];
    const from = clock.elapsed();
    for (let size = 0; ;) {
      signal?.throwIfAborted();
      const piece = await readSome((bytes) => file.read(bytes, 0, bytes.length, null));
      if (piece?.length === 0 && (size > 0 || !isAwaited)) return Buffer.concat(pieces, size);
      if (piece && piece.length > 0) {
        pieces.push(piece);
        needAtMost((size += piece.length), most, `in ${path}`);
      }
      const passed = clock.elapsed() - from;
      if (piece?.length === 0 && passed > beginsWithinMs)
        throw new McpctlError(
          'usage',
          `${path} is a pipe, and nobody has written to it for ${Math.round(passed / 1_000)} s; start first what writes to it, or name a file.`,
        );
      if (passed > endsWithinMs)
        throw new McpctlError(
          'usage',
          `${path} has not ended within ${Math.round(endsWithinMs / 1_000)} s; end what writes to it, or name a file.`,
        );
      if (!piece || piece.length === 0) await pause(LOOK_MS, signal);
    }
  } finally {
    await file.close();
  }
}

/** What can be read now; null: somebody is there who has written nothing yet. Empty: its end, or nobody is there. */
async function readSome(read: (bytes: Buffer) => Promise<{ bytesRead: number }>): Promise<Buffer | null> {
  const bytes = Buffer.allocUnsafe(PIECE_BYTES);
  try {
    const { bytesRead } = await read(bytes);
    return bytes.subarray(0, bytesRead);
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'EAGAIN') return null;
    throw thrown;
  }
}
