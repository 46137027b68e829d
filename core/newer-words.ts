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
    .transform((said) => words.find((word) => word === said) ?? otherwise);
}
