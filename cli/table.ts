import width from 'string-width';
import type { Paint } from './output.ts';
import { cell } from './text.ts';

export interface Column<T> {
  head: string;
  /** Only with `-o wide`. */
  wide?: boolean;
  of: (row: T) => string | number | null | undefined;
}

/** Aligned columns, three spaces apart, a line each; no column is cut, so that pipes see whole values. */
export function tableLines<T>(
  rows: readonly T[],
  columns: readonly Column<T>[],
  look: { headers: boolean; paint: Paint },
): string[] {
  const body = rows.map((row) => columns.map((column) => cell(column.of(row))));
  const all = look.headers ? [columns.map((column) => column.head), ...body] : body;
  const widths = columns.map((_, i) => Math.max(0, ...all.map((line) => width(line[i] ?? ''))));
  return all.map((line, n) => {
    const text = line
      .map((word, i) => word + ' '.repeat((widths[i] ?? 0) - width(word)))
      .join('   ')
      .trimEnd();
    return look.headers && n === 0 ? look.paint.bold(text) : text;
  });
}

/** `Label:  value` lines, the values under each other; `indent` spaces before each. */
export function factLines(
  facts: readonly (readonly [string, string | number | null | undefined])[],
  indent = 0,
): string[] {
  const widest = Math.max(...facts.map(([label]) => label.length)) + 3;
  return facts.map(([label, value]) => `${' '.repeat(indent)}${`${label}:`.padEnd(widest)}${cell(value)}`);
}
