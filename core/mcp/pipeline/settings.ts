import { z } from 'zod';
import { patternFault } from './redact/redact.ts';

const count = (least: number, most: number): z.ZodType<number> => z.number().int().min(least).max(most);

const redactSchema = z
  .array(z.string().min(1).max(256))
  .max(16)
  .superRefine((patterns, ctx) => {
    for (const [n, pattern] of patterns.entries()) {
      const fault = patternFault([pattern]);
      if (fault !== null) ctx.addIssue({ code: 'custom', path: [n], message: fault });
    }
    const together = ctx.issues.length === 0 ? patternFault(patterns) : null;
    if (together !== null) ctx.addIssue({ code: 'custom', message: together });
  });

/**
 * What happens to a result between its server and who called, in this order; what is absent does not. Lengths are counted in
 * UTF-16 code units, as JavaScript counts them.
 */
export const pipelineSchema = z.strictObject({
  /** Regular expressions, of those that take no more time than the text is long. What they find is not shown. */
  redact: redactSchema.optional(),
  /** A text longer than `over` is shown in pages of at most `page`. */
  paginate: z
    .strictObject({
      over: count(1_000, 1_000_000).optional(),
      page: count(500, 100_000).optional(),
    })
    .optional(),
  /** A text is cut after so much. */
  limit: z.strictObject({ max: count(1_000, 10_000_000).optional() }).optional(),
});
export type Pipeline = z.infer<typeof pipelineSchema>;

const numbers = { over: 24_000, page: 8_000, max: 100_000 } as const;

/** Its numbers, where a project gives none. */
export const pagingOf = ({ paginate }: Pipeline): { over: number; page: number } | null =>
  paginate ? { over: paginate.over ?? numbers.over, page: paginate.page ?? numbers.page } : null;

/** Null: nothing is cut. */
export const limitOf = ({ limit }: Pipeline): number | null => (limit ? (limit.max ?? numbers.max) : null);

/** Whether more than the beginning of a result may have to be read. */
export const hasPages = (pipeline: Pipeline): boolean =>
  pagingOf(pipeline) !== null || limitOf(pipeline) !== null;

/** How long a page is, also where a project only cuts; one that is longer than what is shown could not be read to its end. */
export const pageLength = (pipeline: Pipeline): number =>
  Math.min(pagingOf(pipeline)?.page ?? numbers.page, limitOf(pipeline) ?? Infinity);
/** Of all pages at once. */
export const wholeLength = (pipeline: Pipeline): number => limitOf(pipeline) ?? numbers.max;
