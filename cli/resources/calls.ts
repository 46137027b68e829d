import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import { catalogueEntrySchema, type CatalogueEntry } from '../../core/resources/catalogue.ts';
import { oneLine } from '../../core/runtime/plain.ts';
import type { Keyed } from '../keyed.ts';

/** What the API answers of any resource: its raw object, and what names it. */
export function readKeyed({ key }: CatalogueEntry): (answer: unknown) => Keyed {
  return (answer) => {
    const raw = z.record(z.string(), z.unknown()).safeParse(answer);
    const named = raw.success ? raw.data[key] : undefined;
    if (raw.success && typeof named === 'string') return { key: named, raw: raw.data };
    throw new McpctlError('bad_answer', `The server's answer has no "${key}"; is it an mcpctl server?`);
  };
}

const word = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/);
/** A server's own words: what is a command here is checked, what is printed is made safe to print. */
const entrySchema = catalogueEntrySchema.extend({ word, plural: word, short: z.array(word) });

/** An entry of the server's catalogue; undefined for one that cannot be read, as of a release far away. */
export function readEntry(answer: unknown): CatalogueEntry | undefined {
  const parsed = entrySchema.safeParse(answer);
  if (!parsed.success) return undefined;
  const safely = <T extends { label: string }>(shown: readonly T[]): T[] =>
    shown.map((each) => ({ ...each, label: oneLine(each.label) }));
  const { columns, describe, about } = parsed.data;
  return { ...parsed.data, about: oneLine(about), columns: safely(columns), describe: safely(describe) };
}
