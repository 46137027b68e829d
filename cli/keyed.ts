import type { CatalogueEntry } from '../core/resources/catalogue.ts';

/** One object of an answer: what names it, and all that the server said of it. */
export interface Keyed {
  key: string;
  raw: Readonly<Record<string, unknown>>;
}

/** What people write of one, as far as it is shown. */
export function writtenOf(
  { fields }: Pick<CatalogueEntry, 'fields'>,
  { raw }: Keyed,
): Record<string, unknown> {
  const there = fields.filter(({ name }) => Object.hasOwn(raw, name));
  return Object.fromEntries(there.map(({ name }) => [name, raw[name]]));
}

/** What people call it: its name where it has one, else what names it. */
export const calledOf = ({ key, raw }: Keyed): string =>
  typeof raw['name'] === 'string' ? raw['name'] : key;
