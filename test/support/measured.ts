import { systemClock as clock } from '../../core/runtime/clock.ts';

/**
 * Puts a measured span beside the test's title, where a person sees it; a test bounds it loosely all the same.
 * @returns what `work` gave.
 */
export async function measured<T>(context: Mocha.Context, work: () => Promise<T>): Promise<T> {
  const from = clock.elapsed();
  const result = await work();
  note(context, [clock.elapsed() - from]);
  return result;
}

/** The same for spans that were measured before: median and longest of several. */
export function note(context: Mocha.Context, spansMs: readonly number[]): void {
  const sorted = [...spansMs].sort((a, b) => a - b);
  const longest = Math.round(sorted.at(-1) ?? 0);
  const median = Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0);
  const text =
    sorted.length > 1 ? `${median} ms, at most ${longest} ms of ${sorted.length}` : `${longest} ms`;
  if (context.test) context.test.title += ` (${text})`;
}
