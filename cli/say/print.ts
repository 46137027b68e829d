import type { Context } from '../who/context.ts';
import type { Keyed } from '../keyed.ts';
import type { Format, ObjectFormat } from './formats.ts';
import type { Output } from './output.ts';
import { cellsOf, linesOf, type Cells, type Column } from './table.ts';

/** Some things of one type, ready for every format. */
export interface Listing {
  type: string;
  items: readonly Keyed[];
  /** A row for each item, in their order. */
  cells(wide: boolean): Cells;
}

export function listingOf<T extends Keyed>(
  type: string,
  items: readonly T[],
  columns: readonly Column<T>[],
): Listing {
  return {
    type,
    items,
    cells: (wide) => cellsOf(items, wide ? columns : columns.filter((column) => !column.wide)),
  };
}

export interface Look {
  format: Format;
  headers: boolean;
  /** One thing was asked for by name: JSON is an object then, not a list. */
  single: boolean;
}

type Printing = Pick<Context, 'out' | 'terminal'>;

/**
 * Writes data to stdout. JSON is the API's objects, unchanged but for `resource: <type>` at their head; YAML the same as
 * documents, with what is the server's in comments. No results is not a failure: an empty list, and a note for a person.
 */
export async function printListings(ctx: Printing, listings: readonly Listing[], look: Look): Promise<void> {
  const { out } = ctx;
  const objects = listings.flatMap(({ type, items }) => items.map((item) => objectOf(type, item)));
  switch (look.format) {
    case 'json':
      return out.line(JSON.stringify(look.single ? objects[0] : objects, null, 2));
    case 'yaml':
      return out.data(await documentsOf(listings));
    case 'name':
      for (const { type, items } of listings) for (const item of items) out.line(`${type}/${item.key}`);
      return;
    case 'table':
    case 'wide':
      if (listings.every(({ items }) => items.length === 0)) out.note(emptyNote(listings));
      for (const line of tablesOf(ctx, listings, look)) out.styled(line);
  }
}

/** One thing as `-o json` and `-o yaml` write it. */
export function objectOf(type: string, { raw }: Keyed): Readonly<Record<string, unknown>> {
  return { resource: type, ...raw };
}

export function emptyNote(listings: readonly Listing[]): string {
  return `No ${listings.map(({ type }) => `${type}s`).join(' or ')}.`;
}

/** A table for each type of which there is something; on a terminal, `table` is as wide as that. */
export function tablesOf(
  { out, terminal }: Printing,
  listings: readonly Listing[],
  { format, headers }: Pick<Look, 'format' | 'headers'>,
): string[] {
  const fit = terminal.tty.stdout && format === 'table' ? terminal.size().columns : 0;
  return listings
    .filter(({ items }) => items.length > 0)
    .map((listing) => linesOf(listing.cells(format === 'wide'), { headers, paint: out.paint, fit }))
    .flatMap((lines, n) => (n > 0 ? ['', ...lines] : lines));
}

/** One object in the format asked for, or the `text` of it. */
export async function printObject(
  out: Output,
  format: ObjectFormat,
  shown: { object: Readonly<Record<string, unknown>>; lines: () => readonly string[] },
): Promise<void> {
  if (format === 'json') out.line(JSON.stringify(shown.object, null, 2));
  else if (format === 'yaml') out.data(await yamlOf([shown.object]));
  else for (const line of shown.lines()) out.styled(line);
}

/** Documents that `apply -f` can read one after the other. */
async function documentsOf(listings: readonly Listing[]): Promise<string> {
  const { documentText } = await import('../declared/document-text.ts');
  return listings.flatMap(({ type, items }) => items.map(({ raw }) => documentText(type, raw))).join('---\n');
}

/** Objects as they are. */
export async function yamlOf(objects: readonly object[]): Promise<string> {
  // Never the package itself: in a bundle what is imported late of a CommonJS package has no names.
  const { documentOf } = await import('../yaml.ts');
  return objects.map(documentOf).join('---\n');
}
