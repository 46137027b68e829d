import type { CatalogueEntry, CatalogueShown } from '../../core/resources/catalogue.ts';
import { plain } from '../../core/runtime/plain.ts';
import type { Instant } from '../say/columns.ts';
import type { Keyed } from '../keyed.ts';
import { factLines, type Column } from '../say/table.ts';
import { span } from '../say/text.ts';
import { wordings, type Say } from './wordings.ts';

/** What stands at a dotted path; through an array, what stands there in each of its items. */
function valueAt(raw: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((at, name) => {
    if (Array.isArray(at)) return at.map((item) => valueAt(item, name));
    return typeof at === 'object' && at !== null && Object.hasOwn(at, name)
      ? (at as Record<string, unknown>)[name]
      : undefined;
  }, raw);
}

/** What has parts is written as the option of `create` takes it: `run:llm:gpt`. */
function itemWords(item: unknown, parts: readonly string[]): string {
  if (typeof item !== 'object' || item === null) return String(item);
  const words = parts.flatMap((part) => valueAt(item, part) ?? []).map(String);
  return words.length > 0 ? words.join(':') : JSON.stringify(item);
}

/** As words; what a newer server wants shown in a way that is not known here is shown as it is. */
function wordsFor(
  { fields }: Pick<CatalogueEntry, 'fields'>,
  raw: Keyed['raw'],
  { shown: { path, as, none }, instant }: { shown: CatalogueShown; instant: Instant },
): string | undefined {
  const value = valueAt(raw, path);
  if (value === null) return none;
  if (as === 'ago' && typeof value === 'string') return instant(value);
  if (as === 'span' && typeof value === 'number') return span(value);
  if (as === 'count' && Array.isArray(value)) return String(value.length);
  if (Array.isArray(value)) {
    const parts = fields.find(({ name }) => name === path)?.item?.parts ?? [];
    return value.map((item) => itemWords(item, parts)).join(as === 'block' ? '\n' : ',');
  }
  return value === undefined || typeof value === 'string' ? value : JSON.stringify(value);
}

/** How one is worded, by the path of what is shown: as this release says it better, or as it is. */
function wordingOf(
  { word, ...entry }: CatalogueEntry,
  where: 'columns' | 'lines',
  instant: Instant,
): (shown: CatalogueShown) => Say {
  const { read, [where]: own = {} } = wordings[word] ?? {};
  return (shown) =>
    own[shown.path] ?? ((item) => wordsFor(entry, read?.(item) ?? item.raw, { shown, instant }));
}

export function columnsOf(entry: CatalogueEntry, instant: Instant): Column<Keyed>[] {
  const worded = wordingOf(entry, 'columns', instant);
  return entry.columns.map((column) => ({
    head: column.label,
    wide: column.wide ?? false,
    spare: column.spare ?? false,
    of: worded(column),
  }));
}

/** Facts, a line each, and then what has lines of its own. */
export function linesFor(entry: CatalogueEntry, item: Keyed, instant: Instant): string[] {
  const facts = entry.describe.filter(({ as }) => as !== 'block');
  const blocks = entry.describe.filter(({ as }) => as === 'block');
  const worded = wordingOf(entry, 'lines', instant);
  const words = (shown: CatalogueShown): string | undefined => worded(shown)(item);
  return [
    ...factLines(facts.map((fact) => [fact.label, words(fact)])),
    ...blocks.flatMap((block) => {
      const text = words(block) ?? '';
      return text === ''
        ? []
        : ['', `${block.label}:`, ...text.split('\n').map((line) => `  ${plain(line)}`)];
    }),
  ];
}
