import { statSync } from 'node:fs';
import { messageOf } from '../../errors.ts';
import type { Clock } from '../clock.ts';
import { readPlainFile } from '../files/plain-file.ts';
import type { Inspection } from '../settings/config.ts';
import { keyringOf, keysInText, noKeyring, type Keyring, type KeyringSource } from './keyring.ts';

/** Where keys are given: a file of them, keys themselves, or both; those of the file come first. */
export interface KeyringPlace {
  secretsKeysFile: string | undefined;
  secretsKey: readonly string[];
}

/** Where it is said that keys were read anew, or could not be. */
interface Says {
  info(about: object, text: string): void;
  warn(about: object, text: string): void;
}

/** A file is looked at this often, while somebody asks for keys. */
const LOOK_MS = 1_000;

const keysOf = (path: string | undefined): string[] =>
  path === undefined ? [] : keysInText(readPlainFile(path));

/** @returns null where nothing is set. @throws Error with what is wrong, and no key. */
function read({ secretsKeysFile, secretsKey }: KeyringPlace): Keyring | null {
  if (secretsKeysFile === undefined && secretsKey.length === 0) return null;
  return keyringOf([...keysOf(secretsKeysFile), ...secretsKey]);
}

/**
 * The keyring of a process. A file that is written anew is read anew within a second; one that cannot be read any more, or
 * holds none, leaves the keys as they were, and that is said.
 * @throws Error as `inspectKeyring` finds it at the start.
 */
export function openKeyring(
  place: KeyringPlace,
  { clock, log }: { clock: Pick<Clock, 'elapsed'>; log: Says },
): KeyringSource {
  const { secretsKeysFile: file } = place;
  const first = read(place);
  if (first === null) return noKeyring;
  if (file === undefined) return { now: () => first };
  let [keyring, seen, lookedAt] = [first, markOf(file), clock.elapsed()];
  return {
    now() {
      if (clock.elapsed() - lookedAt < LOOK_MS) return keyring;
      lookedAt = clock.elapsed();
      const mark = markOf(file);
      if (mark === seen) return keyring;
      seen = mark;
      try {
        keyring = read(place) ?? keyring;
        log.info(
          { kids: [...keyring.byKid.keys()] },
          'the keys of secrets were read anew; the first one seals',
        );
      } catch (thrown) {
        log.warn(
          { why: messageOf(thrown) },
          'the file with the keys of secrets cannot be used; those of before stay',
        );
      }
      return keyring;
    },
  };
}

/** Changes whenever the file does; empty where it is not there. */
function markOf(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat ? [stat.mtimeNs, stat.size, stat.ino, stat.dev].join(' ') : '';
}

/** What is wrong with the keys that the environment names. */
export function inspectKeyring(settings: { [K in keyof KeyringPlace]?: KeyringPlace[K] | undefined }): {
  keyring: Keyring | null;
} & Inspection {
  const place = { secretsKeysFile: settings.secretsKeysFile, secretsKey: settings.secretsKey ?? [] };
  try {
    return { keyring: read(place), faults: [] };
  } catch (thrown) {
    const message = `the keys of secrets cannot be read: ${messageOf(thrown)}`;
    return { keyring: null, faults: [{ path: 'MCPCTL_SECRETS_KEYS_FILE', message }] };
  }
}
