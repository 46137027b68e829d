import { Option } from '@commander-js/extra-typings';
import { durationMsOf } from '../input/arguments.ts';

const formats = ['table', 'wide', 'json', 'yaml', 'name'] as const;
export type Format = (typeof formats)[number];

/** `-o`: how data is written. */
export function formatOption() {
  return new Option('-o, --output <format>', 'how to write it').choices(formats).default('table' as const);
}

/** `-o` of a command that shows one thing, or one summary. */
export function objectFormatOption() {
  return new Option('-o, --output <format>', 'how to write it')
    .choices(['text', 'json', 'yaml'] as const)
    .default('text' as const);
}
export type ObjectFormat = 'text' | 'json' | 'yaml';

/** `-l`: by fields, as nothing has labels. */
export function selectorOption() {
  return new Option(
    '-l, --selector <fields>',
    'only those whose fields are like that: kind=virtual,tier!=fast',
  );
}

export function sortOption() {
  return new Option('--sort-by <field>', 'in the order of this field: createdAt, pool.key …');
}

export function watchOption() {
  return new Option('-w, --watch', 'go on showing what changes, until Ctrl-C').default(false);
}

/** How often `--watch` asks. */
export function intervalOption() {
  return new Option('--interval <time>', 'how often to ask while watching')
    .argParser(durationMsOf)
    .default(2000, '2s');
}

/** What every command that lists takes. */
export interface ListLook {
  output: Format;
  headers: boolean;
  selector?: string | undefined;
  sortBy?: string | undefined;
}

/** And one that can watch. */
export interface WatchLook extends ListLook {
  watch: boolean;
  /** Milliseconds. */
  interval: number;
}
