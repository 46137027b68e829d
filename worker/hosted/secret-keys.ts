import { McpctlError, messageOf } from '../../core/errors.ts';
import { openItem } from '../../core/runtime/keyring/envelope.ts';
import type { KeyringSource } from '../../core/runtime/keyring/keyring.ts';
import type { PublicLlm, RegistrySource } from '../sources/registry.ts';
import { cannot, keyIn, type ReadKey } from './keys.ts';

/** How the key of an llm is read that refers to a secret. */
export interface SecretKeys {
  /** Whether it can be read at all: then the llm is served. */
  check: ReadKey;
  /** The key, for a call to where it may be sent. */
  read: ReadKey;
}

/**
 * A value is opened for each call that needs it, and kept nowhere: what is held between calls is as sealed as in Postgres.
 * Whoever writes a new version has it used from the next call on, and what runs goes on.
 */
export function secretKeysFor(
  { source, keyring }: { source: Pick<RegistrySource, 'sealedKey'>; keyring: KeyringSource },
  { id, url }: Pick<PublicLlm, 'id' | 'url'>,
): SecretKeys {
  const sealedNow = () => {
    const sealed = source.sealedKey(id);
    if (sealed) return sealed;
    throw cannot(
      'Nobody who may run the secret has said that this llm uses it; give the llm its apiKeyRef again.',
    );
  };
  const check = async (): Promise<string> => {
    const { place, key, wrapped, item } = sealedNow();
    const keys = keyring.now();
    if (!keys) throw cannot('The hosted worker has no key for secrets; set MCPCTL_SECRETS_KEYS_FILE for it.');
    if (!item)
      throw cannot(`The secret '${place.name}' has no value '${key}' that can be the key of a backend.`);
    return keyIn(
      opened(() => openItem(keys, place, { key, item, ...wrapped })),
      `The secret '${place.name}'`,
    );
  };
  const read = async (): Promise<string> => {
    const { place, origins } = sealedNow();
    if (!origins.includes(new URL(url).origin))
      throw cannot(
        `The secret '${place.name}' may not be sent to where this llm is; its allowedOrigins say where it may.`,
      );
    return check();
  };
  return { check, read };
}

/** What is wrong with a key is its backend's owner's to mend. */
function opened(open: () => string): string {
  try {
    return open();
  } catch (thrown) {
    throw thrown instanceof McpctlError ? cannot(messageOf(thrown)) : thrown;
  }
}
