import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { MOST_LINE_BYTES, type BackupHeader, type BackupTrailer } from '../../backup/format.ts';
import { McpctlError } from '../../errors.ts';
import { ByteLines } from '../../text/byte-lines.ts';
import { sealStream, type SealFor } from './age.ts';
import { BackupReader } from './lines.ts';

interface Writing {
  path: string;
  /** The lines as a server sends them. */
  bytes: AsyncIterable<Uint8Array>;
  /** Null: it is for everybody. */
  seal: SealFor | null;
  /** What opens portable secrets, of a file that is encrypted with a passphrase: it stands before all else. */
  identity?: string | undefined;
  /** scrypt's, where it is not age's own. */
  work?: number | undefined;
  /** Is told how many bytes have come, and documents. */
  progress?: (bytes: number, documents: number) => void;
  signal: AbortSignal;
}

/**
 * Writes a backup into a file that only its owner reads: all of it, or none. It is written beside, and takes the name once
 * it was seen to be whole and is on the disk.
 * @throws McpctlError `backup_damaged` where what came is not whole; the file system's error; an abort.
 */
export async function writeBackupFile(
  writing: Writing,
): Promise<{ header: BackupHeader; trailer: BackupTrailer }> {
  const { path, seal, signal, identity, work } = writing;
  const draft = `${path}.${randomBytes(6).toString('hex')}.part`;
  const reader = new BackupReader();
  try {
    const sealed = async function* (source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      if (!seal) {
        yield* source;
        return;
      }
      yield* await sealStream(Readable.from(source, { objectMode: false }), seal, work);
    };
    await pipeline(
      Readable.from(seen(writing, reader, identity), { objectMode: false }),
      createGzip(),
      sealed,
      createWriteStream(draft, { mode: 0o600, flags: 'wx' }),
      { signal },
    );
    const whole = reader.end();
    await toDisk(draft);
    await rename(draft, path);
    return whole;
  } catch (thrown) {
    await rm(draft, { force: true }).catch(() => undefined); // why it failed is what is told
    throw thrown;
  }
}

/** What comes, looked through on its way. */
async function* seen(
  { bytes, progress }: Writing,
  reader: BackupReader,
  identity: string | undefined,
): AsyncGenerator<Uint8Array> {
  const lines = new ByteLines(MOST_LINE_BYTES);
  let size = 0;
  if (identity !== undefined) yield Buffer.from(`${JSON.stringify({ mcpctl: 'key', identity })}\n`);
  try {
    for await (const piece of bytes) {
      for (const line of lines.feed(piece)) reader.take(Buffer.from(line).toString());
      size += piece.byteLength;
      progress?.(size, reader.documents);
      yield piece;
    }
    if (lines.begunBytes > 0)
      throw new McpctlError('backup_damaged', 'The backup broke off before its end; try again.');
    reader.end();
  } finally {
    lines.release();
  }
}

async function toDisk(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
