import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { messageOf } from '../../core/errors.ts';
import { oneLine } from '../../core/runtime/plain.ts';
import { complete, FILES } from '../complete/complete.ts';
import type { Context } from '../who/context.ts';

/** A screen's worth: whoever has more completes them with the shell. */
const MOST = 20;

/**
 * What could stand where an argument is missing, as a shell would complete it: words of this release, or names that the
 * server knows, asked within a second.
 * @returns lines for stderr; none where anything may stand there. Why the server could not be asked, in its place.
 */
export async function choicesAfter(
  ctx: Context,
  program: CommandUnknownOpts,
  args: readonly string[],
): Promise<string> {
  try {
    const candidates = await complete(ctx, program, [...args, '']);
    if (candidates === FILES || candidates.length === 0) return '';
    const shown = candidates
      .slice(0, MOST)
      .map(({ value, about }) => [oneLine(value), oneLine(about)] as const);
    const width = Math.max(...shown.map(([value]) => value.length));
    const rows = shown.map(([value, about]) => `  ${value.padEnd(width)}  ${about}`.trimEnd());
    const more = candidates.length > MOST ? [`  … and ${candidates.length - MOST} more`] : [];
    return ['Choose one of:', ...rows, ...more, ''].join('\n');
  } catch (thrown) {
    return `What there is to choose from cannot be asked: ${oneLine(messageOf(thrown))}\n`;
  }
}
