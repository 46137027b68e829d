import { McpctlError } from '../../core/errors.ts';
import { nearest } from '../../core/runtime/nearest.ts';
import type { Keyed } from '../keyed.ts';

/** `-l` and `--sort-by`: which of the things that the server sent are shown, and in which order. */
export interface Arrangement {
  selector?: string | undefined;
  sortBy?: string | undefined;
}

interface Condition {
  path: string;
  equals: boolean;
  value: string;
}

/** @throws McpctlError `usage` for a selector that is none, or a field that none of the things has. */
export function arranged<T extends Keyed>(items: readonly T[], { selector, sortBy }: Arrangement): T[] {
  const conditions = selector === undefined ? [] : conditionsOf(selector);
  for (const { path } of conditions) needField(items, path, '--selector');
  const chosen = items.filter((item) => conditions.every((condition) => meets(item.raw, condition)));
  if (sortBy === undefined) return chosen;
  const path = sortBy.replace(/^\./, '');
  needField(items, path, '--sort-by');
  return chosen.sort((a, b) => compared(fieldOf(a.raw, path), fieldOf(b.raw, path)));
}

/** `kind=virtual,tier!=fast,pool.key=qwen`. */
function conditionsOf(selector: string): Condition[] {
  return selector.split(',').map((part) => {
    const [, path = '', not = '', value = ''] = /^\.?([\w.]+)\s*(!?)==?\s*(.*)$/.exec(part.trim()) ?? [];
    if (path !== '') return { path, equals: not === '', value };
    throw new McpctlError(
      'usage',
      `--selector: "${part}" is not understood; write it like kind=virtual,tier!=fast`,
    );
  });
}

function meets(raw: Keyed['raw'], { path, equals, value }: Condition): boolean {
  const field = fieldOf(raw, path);
  const has = Array.isArray(field) ? field.map(words).includes(value) : words(field) === value;
  return has === equals;
}

/** What is not there counts as empty, so that `tier=` finds what has none. */
function words(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The field at a dotted path. */
function fieldOf(raw: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((at, name) => {
    const isObject = typeof at === 'object' && at !== null && Object.hasOwn(at, name);
    return isObject ? (at as Record<string, unknown>)[name] : undefined;
  }, raw);
}

function needField(items: readonly Keyed[], path: string, flag: string): void {
  const [first = ''] = path.split('.');
  if (items.length === 0 || items.some(({ raw }) => Object.hasOwn(raw, first))) return;
  const fieldNames = new Set(items.flatMap(({ raw }) => Object.keys(raw)));
  const near = nearest(first, fieldNames);
  const hint =
    near.length > 0 ? `Did you mean ${near.join(' or ')}?` : `There are: ${[...fieldNames].join(', ')}.`;
  throw new McpctlError('usage', `${flag}: no field is called "${first}". ${hint}`);
}

/** Numbers by size, all else as text; what is not there comes last. */
function compared(a: unknown, b: unknown): number {
  const [none, other] = [a === undefined || a === null, b === undefined || b === null];
  if (none || other) return Number(none) - Number(other);
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return words(a).localeCompare(words(b), 'en', { numeric: true });
}
