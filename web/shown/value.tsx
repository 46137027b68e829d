import type { ComponentChildren } from 'preact';
import type { CatalogueShown } from '../../core/resources/catalogue.ts';
import { Age, span } from '../parts/time.tsx';

export type Row = Readonly<Record<string, unknown>>;

/** What stands at a dotted path; through an array, what stands there in each of its items. */
function valueAt(row: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((at, name) => {
    if (Array.isArray(at)) return at.map((item) => valueAt(item, name));
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined;
    return (at as Row)[name];
  }, row);
}

export const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** As words; what a newer server wants shown in a way that is not known here is shown as it is. */
export function valueIn(row: Row, { path, as, none = '–' }: CatalogueShown): ComponentChildren {
  const value = valueAt(row, path);
  if (value === null || value === undefined || value === '') return none;
  if (as === 'ago' && typeof value === 'string') return <Age at={value} />;
  if (as === 'span' && typeof value === 'number') return span(value);
  if (Array.isArray(value)) return value.map(textOf).join(', ') || none;
  return textOf(value);
}
