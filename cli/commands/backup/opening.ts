import { Option } from '@commander-js/extra-typings';
import { collect } from '../../input/arguments.ts';

export const passphraseOption = () =>
  new Option('--passphrase-file <path>', 'a file with the passphrase, its first line');

export const identityOption = () =>
  new Option('-i, --identity <path>', 'a file with identities of age (AGE-SECRET-KEY-…); may be repeated')
    .argParser(collect)
    .default([] as string[], 'none');
