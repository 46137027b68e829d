import { z } from 'zod';

/**
 * One of some words that another process wrote, perhaps one of a newer release: a word that is not known here reads as
 * `otherwise`, the most careful of those that are, and what stands beside it stays (docs/decisions/0033). What is no text is
 * refused as ever.
 */
export function wordOr<const Word extends string>(words: readonly Word[], otherwise: NoInfer<Word>) {
  return z
    .string()
    .meta({ enum: words })
    .transform((given) => words.find((word) => word === given) ?? otherwise);
}

/** What a column of JSON holds beside what decides: one that cannot be read says nothing, and its row stays. */
export function orNothing<Schema extends z.ZodType>(schema: Schema) {
  return schema.nullable().catch(null);
}

const FIRST = new Date(0);
const LAST = new Date('9999-12-31T23:59:59.999Z');

/** A `timestamptz` as pg gives it: one without an end, or that no `Date` can say, is the last that there is, or the first. */
export const instantSchema = z
  .union([z.date(), z.number()])
  .catch(Infinity)
  .transform((at) => {
    if (at instanceof Date) return at;
    return at > 0 ? LAST : FIRST;
  });
