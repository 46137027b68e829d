import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Context } from '../who/context.ts';
import { oneLine } from '../../core/runtime/plain.ts';
import { complete, FILES } from './complete.ts';
import { brokenAt, wordsOf } from './line.ts';

export interface Completing {
  shell: string;
  /** bash: the line up to the cursor, and its word breaks; other shells: the words after `mcpctl`, the last unfinished. */
  words: readonly string[];
}

/** The lines that the script of that shell reads. */
export async function candidatesFor(
  ctx: Context,
  root: CommandUnknownOpts,
  { shell, words }: Completing,
): Promise<string[]> {
  const [line = '', breaks = ''] = words;
  const typed = shell === 'bash' ? wordsOf(line).slice(1) : words;
  const skip = shell === 'bash' ? brokenAt(typed.at(-1) ?? '', breaks) : 0;
  const candidates = await complete(ctx, root, typed);
  if (candidates === FILES) return [':files'];
  // The shell puts a value into the line as it is.
  const sound = candidates.filter(({ value }) => oneLine(value) === value);
  return sound.map(({ value, about }) => `${value.slice(skip)}\t${oneLine(about)}`);
}
