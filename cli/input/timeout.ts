import { Option } from '@commander-js/extra-typings';
import { durationMsOf } from './arguments.ts';

/** How long a server that is away, or has too much to do, is asked again. */
export const PATIENCE_MS = 120_000;

/** `--timeout`, in milliseconds. */
export function timeoutOption() {
  return new Option('--timeout <time>', 'for how long a server that is away, or full, is asked again')
    .argParser(durationMsOf)
    .default(PATIENCE_MS, '2m');
}
