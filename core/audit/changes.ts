import type { Definition } from '../resources/define.ts';
import { tellable, type Change } from './event.ts';

/** Of one value, as JSON: what is longer has changed, and that is all that is told of it. */
const LONGEST_VALUE = 2_048;

type Values = Readonly<Record<string, unknown>>;

function isTold(value: unknown): boolean {
  const text = JSON.stringify(value ?? null);
  return text.length <= LONGEST_VALUE && tellable(text) !== null;
}

/**
 * What became of fields. A value is told only of a field that its definition marks (`audit`), never of a secret, a hidden
 * or a long one: that nobody forgets to leave one out.
 * @param before null: it was made.
 */
export function changesOf(
  { fields }: Pick<Definition, 'fields'>,
  { names, before, after }: { names: readonly string[]; before: Values | null; after: Values },
): Change[] {
  return names.map((field): Change => {
    const { audit, secret, sealed, hidden, long } = fields[field] ?? {};
    const values = before === null ? { to: after[field] } : { from: before[field], to: after[field] };
    const isSafe = audit === 'value' && !secret && !sealed && !hidden && !long;
    return isSafe && Object.values(values).every(isTold) ? { field, ...values } : { field, masked: true };
  });
}
