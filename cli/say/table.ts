import width from 'string-width';
import type { Paint } from './output.ts';
import { cell } from './text.ts';

export interface Column<T> {
  head: string;
  /** Only with `-o wide`. */
  wide?: boolean;
  /** Left out first where a terminal is too narrow. */
  spare?: boolean;
  of: (row: T) => string | number | null | undefined;
}

/** A table as words, before it is laid out. */
export interface Cells {
  heads: string[];
  rows: string[][];
  /** Which columns may be left out first. */
  spare: boolean[];
}

export interface TableLook {
  headers: boolean;
  paint: Paint;
  /** Columns of the terminal that a line must fit in; 0 or nothing: as wide as it is, so that pipes see whole values. */
  fit?: number;
  /** Widths that the columns have at least: those of lines above. */
  least?: readonly number[];
}

const GAP = 3;
/** No column is made narrower than this to fit; rather another one is left out. */
const NARROWEST = 8;

export function cellsOf<T>(rows: readonly T[], columns: readonly Column<T>[]): Cells {
  return {
    heads: columns.map((column) => column.head),
    spare: columns.map((column) => column.spare ?? false),
    rows: rows.map((row) => columns.map((column) => cell(column.of(row)))),
  };
}

/** Aligned columns, three spaces apart, a line each. */
export function tableLines<T>(rows: readonly T[], columns: readonly Column<T>[], look: TableLook): string[] {
  return linesOf(cellsOf(rows, columns), look);
}

/** The same of words. */
export function linesOf(cells: Cells, look: TableLook): string[] {
  const { shown, widths } = fitted(cells, widthsOf(cells, look), look.fit ?? 0);
  const { heads, rows } = shown;
  const all = look.headers ? [heads, ...rows] : rows;
  return all.map((line, n) => {
    const text = line
      .map((word, i) => word + ' '.repeat(Math.max(0, (widths[i] ?? 0) - width(word))))
      .join(' '.repeat(GAP))
      .trimEnd();
    return look.headers && n === 0 ? look.paint.bold(text) : text;
  });
}

/** How wide each column is. */
export function widthsOf(
  { heads, rows }: Cells,
  { headers, least = [] }: Pick<TableLook, 'headers' | 'least'>,
): number[] {
  const all = headers ? [heads, ...rows] : rows;
  return heads.map((_, i) => Math.max(least[i] ?? 0, ...all.map((line) => width(line[i] ?? ''))));
}

interface Fitted {
  shown: Cells;
  widths: readonly number[];
}

/**
 * Cut to the width of a terminal: the widest columns give way first, then columns are left out, spare ones and the last
 * ones first. The first names the thing and stays whole. @param wanted how wide each column would be; @param fit 0: so it is.
 */
function fitted(cells: Cells, wanted: readonly number[], fit: number): Fitted {
  const widths = [...wanted];
  const total = (): number => widths.reduce((sum, w) => sum + w, 0) + GAP * (widths.length - 1);
  while (fit > 0 && total() > fit) {
    const widest = widths.reduce((at, w, i) => (i > 0 && w > (widths[at] ?? 0) ? i : at), 1);
    const most = widths[widest];
    if (most === undefined) return { shown: cells, widths };
    if (most > NARROWEST) widths[widest] = most - 1;
    else {
      const out = firstOut(cells);
      const kept = <T>(line: readonly T[]): T[] => line.filter((_, i) => i !== out);
      const fewer = { heads: kept(cells.heads), rows: cells.rows.map(kept), spare: kept(cells.spare) };
      return fitted(fewer, kept(wanted), fit);
    }
  }
  const cut = (line: readonly string[]): string[] => line.map((word, i) => cutTo(word, widths[i] ?? 0));
  return { shown: { ...cells, heads: cut(cells.heads), rows: cells.rows.map(cut) }, widths };
}

const firstOut = ({ heads, spare }: Cells): number =>
  spare.includes(true) ? spare.lastIndexOf(true) : heads.length - 1;

/** At most so wide; what is cut ends in `…`. */
export function cutTo(word: string, most: number): string {
  if (width(word) <= most) return word;
  let kept = '';
  for (const character of word) {
    if (width(kept + character) > most - 1) break;
    kept += character;
  }
  return `${kept}…`;
}

/** `Label:  value` lines, the values under each other; `indent` spaces before each. */
export function factLines(
  facts: readonly (readonly [string, string | number | null | undefined])[],
  indent = 0,
): string[] {
  const widest = Math.max(...facts.map(([label]) => label.length)) + 3;
  return facts.map(([label, value]) => `${' '.repeat(indent)}${`${label}:`.padEnd(widest)}${cell(value)}`);
}
