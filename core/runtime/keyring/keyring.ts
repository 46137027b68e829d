import { createHash, createHmac } from 'node:crypto';

const KEY_BYTES = 32;
const MOST_KEYS = 64;

/** A key that data keys are wrapped with. It leaves this process by no door. */
export interface WrappingKey {
  /** Follows from the key, so that nobody chooses it, and is no secret. */
  kid: string;
  key: Buffer;
}

/** The keys that a process holds: the first wraps, all of them unwrap. */
export interface Keyring {
  active: WrappingKey;
  byKid: ReadonlyMap<string, WrappingKey>;
}

/** Whatever holds the keys now: a file may be written anew under a process. Null: none is set. */
export interface KeyringSource {
  now(): Keyring | null;
}

/** Of a process that seals and opens nothing. */
export const noKeyring: KeyringSource = { now: () => null };

function wrappingKey(key: Buffer): WrappingKey {
  const kid = createHash('sha256').update('mcpctl.kid.1').update(key).digest('hex').slice(0, 8);
  return { kid, key };
}

/** Says of a key, without the key, whether it is the one that it was: kept in Postgres beside its kid. */
export const checkValueOf = ({ key }: WrappingKey): string =>
  createHmac('sha256', key).update('mcpctl kek check').digest('hex');

/**
 * @param words keys of 32 bytes in base64, the one that wraps first; those that come again are one.
 * @throws RangeError naming which is none, by its place and never by its text.
 */
export function keyringOf(words: readonly string[]): Keyring {
  if (words.length > MOST_KEYS) throw new RangeError(`there are more than ${MOST_KEYS} keys`);
  const keys = words.map((word, at) => {
    const key = /^[A-Za-z0-9+/_-]{43}=?$/.test(word) ? Buffer.from(word, 'base64') : Buffer.alloc(0);
    if (key.length === KEY_BYTES) return wrappingKey(key);
    throw new RangeError(
      `key ${at + 1} is not 32 bytes in base64; make one with: openssl rand -base64 ${KEY_BYTES}`,
    );
  });
  const [active] = keys;
  if (!active)
    throw new RangeError(`there is no key in it; make one with: openssl rand -base64 ${KEY_BYTES}`);
  return { active, byKid: new Map(keys.map((each) => [each.kid, each])) };
}

/** A key a line; empty lines and those that begin with # are passed over. */
export const keysInText = (text: string): string[] =>
  text
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
