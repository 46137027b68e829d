import { Option } from '@commander-js/extra-typings';
import { collect } from '../../input/arguments.ts';
import type { OpenWith } from '../../../core/runtime/backup/age.ts';
import type { Opening } from './options.ts';

export const passphraseOption = () =>
  new Option('--passphrase-file <path>', 'a file with the passphrase, its first line');

export const identityOption = () =>
  new Option('-i, --identity <path>', 'a file with identities of age (AGE-SECRET-KEY-…); may be repeated')
    .argParser(collect)
    .default([] as string[], 'none');

/** @throws McpctlError `usage` */
export async function readOpening({ passphraseFile, identity }: Opening): Promise<OpenWith> {
  const { readSecretLines } = await import('../../../core/runtime/backup/read-file.ts');
  const [passphrase] = passphraseFile === undefined ? [] : readSecretLines(passphraseFile, 'passphrase');
  return { passphrase, identities: identity.flatMap((path) => readSecretLines(path, 'identity')) };
}
