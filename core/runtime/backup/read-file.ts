import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import { MOST_LINE_BYTES, type BackupHeader } from '../../backup/format.ts';
import { McpctlError, messageOf } from '../../errors.ts';
import { ByteLines } from '../../text/byte-lines.ts';
import { readNamed } from '../files/named-file.ts';
import { READ_AT_ONCE } from '../files/plain-file.ts';
import { openKey, openStream, type OpenWith } from './age.ts';
import { BackupReader } from './lines.ts';

/** An age file says within so much whom it is for. */
const HEAD_BYTES = 64 * 1024;
const AGE = 'age-encryption.org/v1';
/** More than any passphrase or identities of a person. */
const MOST_SECRET_BYTES = 64 * 1024;
/** Of what it unpacks to: no installation has more, and who packs nothing into little is stopped. */
const MOST_UNPACKED_BYTES = 4 * 1024 ** 3;

const damaged = (path: string, why: string): McpctlError =>
  new McpctlError('backup_damaged', `${path} is no whole backup of mcpctl: ${why}.`);

/** Whoever encrypted it with a passphrase put beside it what its portable secrets open with. */
const keyLineSchema = z.strictObject({ mcpctl: z.literal('key'), identity: z.string().max(8_192) });

export interface BackupFile {
  /** Lines of the backup, each once it was judged, with its line feed left out: the first bad one ends them. */
  lines: AsyncGenerator<string>;
  /** What has judged them; says at their end whether they are a whole backup. */
  reader: BackupReader;
  /** Once the first line was read: what portable secrets open with, besides what opened the file. */
  identities: () => readonly string[];
}

/**
 * A backup in a file, decrypted and unpacked as it is read, with no more held than a line.
 * @throws McpctlError `usage` for what is no file, or encrypted and nothing is at hand to open it; `backup_locked`,
 *   `backup_damaged`, these also while it is read.
 */
export async function openBackupFile(path: string, by: OpenWith): Promise<BackupFile> {
  const head = await headOf(path);
  const isSealed = head.subarray(0, AGE.length).toString('latin1') === AGE;
  if (isSealed && by.passphrase === undefined && by.identities.length === 0)
    throw new McpctlError('usage', `${path} is encrypted: say --passphrase-file or --identity.`);
  if (isSealed && !head.includes('\n---')) throw damaged(path, 'it does not say whom it is for');
  if (!isSealed && !(head[0] === 0x1f && head[1] === 0x8b)) throw damaged(path, 'it is neither age nor gzip');
  const file = createReadStream(path);
  const packed = isSealed ? await openStream(file, by) : file;
  const [reader, own] = [new BackupReader(), [] as string[]];
  const lines = linesOf(path, packed, { reader, identities: own });
  return { lines, reader, identities: () => [...by.identities, ...own] };
}

async function headOf(path: string): Promise<Buffer> {
  try {
    const file = await open(path, READ_AT_ONCE);
    try {
      if (!(await file.stat()).isFile())
        throw new McpctlError('usage', `${path} is not a file; write the backup into one first.`);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (thrown) {
    if (thrown instanceof McpctlError) throw thrown;
    throw new McpctlError('usage', `${path} cannot be read: ${messageOf(thrown)}`);
  }
}

async function* linesOf(
  path: string,
  packed: AsyncIterable<Uint8Array>,
  { reader, identities }: { reader: BackupReader; identities: string[] },
): AsyncGenerator<string> {
  const source = Readable.from(packed, { objectMode: false });
  const unpacked = createGunzip();
  source.once('error', (thrown) => unpacked.destroy(thrown));
  const lines = new ByteLines(MOST_LINE_BYTES);
  let [bytes, count] = [0, 0];
  try {
    for await (const piece of source.pipe(unpacked) as AsyncIterable<Buffer>) {
      bytes += piece.length;
      if (bytes > MOST_UNPACKED_BYTES) throw damaged(path, 'it unpacks to more than any installation has');
      for (const line of lines.feed(piece)) {
        const text = Buffer.from(line).toString();
        const key = count++ === 0 ? keyIn(text) : undefined;
        if (key === undefined) {
          reader.take(text);
          yield text;
        } else identities.push(key);
      }
    }
    if (lines.begunBytes > 0) throw damaged(path, 'its last line is not complete');
  } catch (thrown) {
    if (thrown instanceof McpctlError && thrown.code !== 'body_too_large') throw thrown;
    throw damaged(path, 'it was cut off or changed, or holds what none has');
  } finally {
    lines.release();
    source.destroy();
    unpacked.destroy();
  }
}

function keyIn(line: string): string | undefined {
  if (!line.startsWith('{"mcpctl":"key"')) return undefined;
  try {
    return keyLineSchema.safeParse(JSON.parse(line)).data?.identity;
  } catch {
    return undefined;
  }
}

/** The key of portable secrets, in base64; undefined where there are none. @throws McpctlError `backup_locked` */
export async function portableKey(
  { secrets, key }: Pick<BackupHeader, 'secrets' | 'key'>,
  identities: readonly string[],
): Promise<string | undefined> {
  if (secrets !== 'portable' || key === undefined) return undefined;
  return (await openKey(key, identities)).toString('base64');
}

/** What opens a backup, from the files that a person names. @throws McpctlError `usage` */
export async function openWith(
  { passphraseFile, identity }: { passphraseFile?: string | undefined; identity: readonly string[] },
  signal?: AbortSignal,
): Promise<OpenWith> {
  const identities: string[] = [];
  for (const path of identity) identities.push(...(await readSecretLines(path, 'identity', signal)));
  if (passphraseFile === undefined) return { identities };
  const [passphrase] = await readSecretLines(passphraseFile, 'passphrase', signal);
  return { passphrase, identities };
}

/** Also from what stands for a file, as `<(command)` does. @throws McpctlError `usage` for what cannot be read, or is empty. */
export async function readSecretLines(path: string, what: string, signal?: AbortSignal): Promise<string[]> {
  let text: string;
  try {
    text = (await readNamed(path, { most: MOST_SECRET_BYTES, signal })).toString();
  } catch (thrown) {
    if (thrown instanceof McpctlError || signal?.aborted) throw thrown;
    throw new McpctlError('usage', `${path} cannot be read: ${messageOf(thrown)}`);
  }
  const lines = text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#'));
  if (lines.length === 0) throw new McpctlError('usage', `There is no ${what} in ${path}.`);
  return lines;
}
