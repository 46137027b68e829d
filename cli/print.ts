import type { Format, ObjectFormat } from './formats.ts';
import type { Output } from './output.ts';
import { tableLines, type Column } from './table.ts';

interface Keyed {
  key: string;
  raw: Readonly<Record<string, unknown>>;
}

/** Some things of one type, ready for every format. */
export interface Listing {
  type: string;
  items: readonly Keyed[];
  lines(look: { wide: boolean; headers: boolean; out: Output }): string[];
}

export function listingOf<T extends Keyed>(
  type: string,
  items: readonly T[],
  columns: readonly Column<T>[],
): Listing {
  return {
    type,
    items,
    lines: ({ wide, headers, out }) =>
      tableLines(items, wide ? columns : columns.filter((column) => !column.wide), {
        headers,
        paint: out.paint,
      }),
  };
}

export interface Look {
  format: Format;
  headers: boolean;
  /** One thing was asked for by name: JSON is an object then, not a list. */
  single: boolean;
}

/**
 * Writes data to stdout. JSON and YAML are the API's objects, unchanged but for `resource: <type>` at their
 * head. No results is not a failure: an empty list, and a note for a person.
 */
export async function printListings(out: Output, listings: readonly Listing[], look: Look): Promise<void> {
  const objects = listings.flatMap(({ type, items }) =>
    items.map((item) => ({ resource: type, ...item.raw })),
  );
  switch (look.format) {
    case 'json':
      return out.line(JSON.stringify(look.single ? objects[0] : objects, null, 2));
    case 'yaml':
      return out.data(await yamlOf(objects));
    case 'name':
      for (const { type, items } of listings) for (const item of items) out.line(`${type}/${item.key}`);
      return;
    case 'table':
    case 'wide':
      return printTables(out, listings, look);
  }
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

function printTables(out: Output, listings: readonly Listing[], { format, headers }: Look): void {
  const some = listings.filter(({ items }) => items.length > 0);
  if (some.length === 0) out.note(`No ${listings.map(({ type }) => `${type}s`).join(' or ')}.`);
  some.forEach((listing, n) => {
    if (n > 0) out.line('');
    for (const line of listing.lines({ wide: format === 'wide', headers, out })) out.styled(line);
  });
}

/** Documents that `apply -f` can read one after the other. */
async function yamlOf(objects: readonly object[]): Promise<string> {
  const { stringify } = await import('yaml');
  return objects.map((object) => stringify(object, { lineWidth: 0 })).join('---\n');
}
