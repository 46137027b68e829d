import { z } from 'zod';
import { patternFault } from './redact/redact.ts';

const numbers = { over: 24_000, page: 8_000, max: 100_000, min: 2_000, maxSection: 15_000 } as const;

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
      /** `llm`: the project's llm is asked what each page is about. */
      titles: z.enum(['llm', 'off']).optional(),
    })
    .optional(),
  /** Instead of pages, the sections of a text that has some: none shorter than `min` where there is another, none longer than `max`. */
  split: z
    .strictObject({ min: count(100, 100_000).optional(), max: count(500, 100_000).optional() })
    .refine(({ min = numbers.min, max = numbers.maxSection }) => min <= max, {
      message: 'no section is shorter than min and longer than max: min is to be at most max',
    })
    .optional(),
  /** A text is cut after so much. */
  limit: z.strictObject({ max: count(1_000, 10_000_000).optional() }).optional(),
});
export type Pipeline = z.infer<typeof pipelineSchema>;

/** Its numbers, where a project gives none. */
export const pagingOf = ({ paginate, split }: Pipeline): { over: number; page: number } | null =>
  paginate || split ? { over: paginate?.over ?? numbers.over, page: paginate?.page ?? numbers.page } : null;

/** The llm that is asked what pages are called; null: nobody is. */
export const titlesBy = <Llm>({ pipeline, llm }: { pipeline: Pipeline; llm: Llm | null }): Llm | null =>
  pipeline.paginate?.titles === 'llm' ? llm : null;

/** Null: texts are in pages, whatever they are made of. */
export const splitOf = (pipeline: Pipeline): { min: number; max: number } | null =>
  pipeline.split
    ? {
        min: pipeline.split.min ?? numbers.min,
        max: Math.min(pipeline.split.max ?? numbers.maxSection, limitOf(pipeline) ?? Infinity),
      }
    : null;

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
