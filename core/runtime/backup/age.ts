import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { McpctlError } from '../../errors.ts';

/** The one place where files are encrypted for people, with age; the package is loaded when that is wanted. */
const age = () => import('age-encryption');

type Bytes = ReadableStream<Uint8Array>;
/** Its type does not say of what. */
const webOf = (bytes: Readable): Bytes => Readable.toWeb(bytes) as Bytes;

/** Whom a file is for. */
export interface SealFor {
  recipients: readonly string[];
  /** Instead of recipients. */
  passphrase?: string | undefined;
}

/** What opens a file. */
export interface OpenWith {
  /** `AGE-SECRET-KEY-…` */
  identities: readonly string[];
  passphrase?: string | undefined;
}

/** scrypt, as age has it by itself. Tests say less: it is a second of work. */
const WORK = 18;

async function encrypterFor({ recipients, passphrase }: SealFor, work: number) {
  const { Encrypter } = await age();
  const encrypter = new Encrypter();
  encrypter.setScryptWorkFactor(work);
  if (passphrase !== undefined) encrypter.setPassphrase(passphrase);
  for (const recipient of recipients) {
    try {
      encrypter.addRecipient(recipient);
    } catch {
      throw new McpctlError('usage', `${recipient.slice(0, 80)} is no recipient of age; one is like age1…`);
    }
  }
  return encrypter;
}

async function decrypterWith({ identities, passphrase }: OpenWith) {
  const { Decrypter } = await age();
  const decrypter = new Decrypter();
  if (passphrase !== undefined) decrypter.addPassphrase(passphrase);
  for (const identity of identities) {
    try {
      decrypter.addIdentity(identity);
    } catch {
      throw new McpctlError(
        'usage',
        'That file holds no identity of age; one is a line like AGE-SECRET-KEY-1…',
      );
    }
  }
  return decrypter;
}

/** Bytes, encrypted as they come. @throws McpctlError `usage` for what is no recipient. */
export async function sealStream(bytes: Readable, to: SealFor, work = WORK): Promise<Bytes> {
  const encrypter = await encrypterFor(to, work);
  return await encrypter.encrypt(webOf(bytes));
}

/** @throws McpctlError `backup_locked` where none of these opens it. What is changed or cut fails as it is read. */
export async function openStream(bytes: Readable, by: OpenWith): Promise<Bytes> {
  const decrypter = await decrypterWith(by);
  try {
    return await decrypter.decrypt(webOf(bytes));
  } catch {
    throw new McpctlError('backup_locked');
  }
}

/** A key for the recipients, in base64. */
export async function sealKey(key: Uint8Array, recipients: readonly string[]): Promise<string> {
  const encrypter = await encrypterFor({ recipients }, WORK);
  return Buffer.from(await encrypter.encrypt(key)).toString('base64');
}

/** @throws McpctlError `backup_locked` */
export async function openKey(sealed: string, identities: readonly string[]): Promise<Buffer> {
  const decrypter = await decrypterWith({ identities });
  try {
    return Buffer.from(await decrypter.decrypt(Buffer.from(sealed, 'base64')));
  } catch {
    throw new McpctlError(
      'backup_locked',
      'The secrets of this backup are for other recipients; open it with their identity.',
    );
  }
}

/** A pair of one's own, for one file. */
export async function newIdentity(): Promise<{ identity: string; recipient: string }> {
  const { generateX25519Identity, identityToRecipient } = await age();
  const identity = await generateX25519Identity();
  return { identity, recipient: await identityToRecipient(identity) };
}
