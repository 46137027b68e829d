import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { McpctlError } from '../../errors.ts';
import type { Keyring, WrappingKey } from './keyring.ts';

/**
 * How secrets are kept: each version has a data key of its own, each value a nonce of its own, and the data key is wrapped
 * by a key of the keyring. What is sealed says where it stands, as additional data: moved to another secret, version, name
 * or installation, it does not open (docs/decisions/0048-a-secret-is-sealed-where-it-stands.md).
 */

const CIPHER = 'aes-256-gcm';
const IV_BYTES = 12;
/** Said always: without it node takes tags of four bytes too. */
const TAG_BYTES = 16;
const KEY_BYTES = 32;

/** Where something sealed stands. `name` is for what is said of it, and is not bound: ids do not come back, names do. */
export interface Place {
  installation: string;
  secretId: string;
  name: string;
  version: number;
}

export interface SealedItem {
  /** Of the value, as UTF-8. */
  bytes: number;
  /** Nonce, tag and text, in base64. */
  sealed: string;
}

/** A data key, wrapped by the key of that kid. */
export interface Wrapped {
  kid: string;
  /** As `SealedItem.sealed`. */
  wrappedDek: string;
}

export interface SealedVersion extends Wrapped {
  items: Readonly<Record<string, SealedItem>>;
}

/** Parts one after the other, each with its length before it: no two lists of parts are alike. */
function bound(parts: readonly string[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = Buffer.from(part);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}

const ofValue = ({ installation, secretId, version }: Place, key: string): Buffer =>
  bound(['mcpctl.secret.1', installation, secretId, String(version), key]);
const ofDek = ({ installation, secretId, version }: Place, kid: string): Buffer =>
  bound(['mcpctl.dek.1', installation, secretId, String(version), kid]);

function encrypt(key: Buffer, text: Buffer, aad: Buffer): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES }).setAAD(aad);
  const sealed = Buffer.concat([cipher.update(text), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64');
}

/** @throws Error whatever is not as it was. */
function decrypt(key: Buffer, sealed: string, aad: Buffer): Buffer {
  const bytes = Buffer.from(sealed, 'base64');
  const [iv, tag] = [bytes.subarray(0, IV_BYTES), bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES)];
  const decipher = createDecipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES }).setAAD(aad);
  decipher.setAuthTag(tag);
  return Buffer.concat([decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES)), decipher.final()]);
}

function undecryptable({ name, version }: Place, why: string): McpctlError {
  return new McpctlError(
    'secret_undecryptable',
    `The secret '${name}' (version ${version}) cannot be opened: ${why}.`,
  );
}

const CHANGED = 'what is stored is not what was written; write it anew, or roll it back';

function unwrap({ byKid }: Keyring, place: Place, { kid, wrappedDek }: Wrapped): Buffer {
  const wrappingKey = byKid.get(kid);
  if (!wrappingKey)
    throw undecryptable(place, `it is kept under key ${kid}, which this process does not have`);
  return opened(place, () => decrypt(wrappingKey.key, wrappedDek, ofDek(place, kid)));
}

function opened(place: Place, open: () => Buffer): Buffer {
  try {
    return open();
  } catch {
    throw undecryptable(place, CHANGED); // the cipher's own words say no more
  }
}

const wrap = ({ kid, key }: WrappingKey, place: Place, dek: Buffer): Wrapped => ({
  kid,
  wrappedDek: encrypt(key, dek, ofDek(place, kid)),
});

/** Seals all values of a version under a data key of its own. */
export function seal(
  { active }: Keyring,
  place: Place,
  data: Readonly<Record<string, string>>,
): SealedVersion {
  const dek = randomBytes(KEY_BYTES);
  const items = Object.entries(data).map(([key, value]): [string, SealedItem] => {
    const text = Buffer.from(value);
    return [key, { bytes: text.length, sealed: encrypt(dek, text, ofValue(place, key)) }];
  });
  return { ...wrap(active, place, dek), items: Object.fromEntries(items) };
}

/** @throws McpctlError `secret_undecryptable` naming the secret and its version. */
export function openItem(
  keyring: Keyring,
  place: Place,
  { key, item, ...wrapped }: Wrapped & { key: string; item: SealedItem },
): string {
  return valueIn(place, key, { item, dek: unwrap(keyring, place, wrapped) });
}

const valueIn = (place: Place, key: string, { item, dek }: { item: SealedItem; dek: Buffer }): string =>
  opened(place, () => decrypt(dek, item.sealed, ofValue(place, key))).toString();

/** All values of a version. @throws as `openItem`. */
export function openAll(
  keyring: Keyring,
  place: Place,
  { items, ...wrapped }: SealedVersion,
): Record<string, string> {
  const dek = unwrap(keyring, place, wrapped);
  const entries = Object.entries(items);
  return Object.fromEntries(entries.map(([key, item]) => [key, valueIn(place, key, { item, dek })]));
}

/** The same data key under the key that wraps now; no value is touched. @throws as `openItem`. */
export const rewrap = (keyring: Keyring, place: Place, wrapped: Wrapped): Wrapped =>
  wrap(keyring.active, place, unwrap(keyring, place, wrapped));
