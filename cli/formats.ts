import { Option } from '@commander-js/extra-typings';

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
