import { z } from 'zod';
import { instantSchema } from '../page.ts';

/** Query of `GET /api/v1/usage`. Rows are kept for `MCPCTL_RETENTION_MS`; what is older is not told. */
export const usageQuerySchema = z
  .strictObject({
    by: z.enum(['user', 'token', 'llm', 'pool']).default('user'),
    /** Back from `to`, or from now; 24 unless told. */
    hours: z.coerce.number().int().min(1).max(8_760).optional(),
    from: instantSchema.optional(),
    /** What ended before it. */
    to: instantSchema.optional(),
    /** Adds up what ended in each hour or day of UTC, oldest first. */
    bucket: z.enum(['hour', 'day']).optional(),
    /** Of a page of buckets: the `next` of the one before. */
    after: z.string().min(1).max(256).optional(),
    /** `csv`: all pages. */
    format: z.enum(['json', 'csv']).default('json'),
  })
  .refine(({ hours, from }) => hours === undefined || from === undefined, {
    path: ['hours'],
    error: 'is not given beside from',
  })
  .refine(({ from, to }) => from === undefined || to === undefined || Date.parse(from) < Date.parse(to), {
    path: ['to'],
    error: 'must be after from',
  })
  .refine(({ bucket, after }) => bucket !== undefined || after === undefined, {
    path: ['after'],
    error: 'is for pages of a bucket',
  });
export type UsageQuery = z.infer<typeof usageQuerySchema>;

/** What somebody, or something, has used. */
const usedSchema = z.object({
  /** Where the hour or day begins; only by bucket. */
  at: z.string().optional(),
  /** The name of the user, token, llm (as asked) or pool. Of a user whom one may not view their id, of such a token `unknown`. */
  name: z.string(),
  /** Whose tasks; only by token. */
  user: z.string().optional(),
  /** Of the token, as log lines have it; only by token. */
  keyId: z.string().optional(),
  tasks: z.number(),
  completed: z.number(),
  /** Ended with an error; what is left was cancelled. */
  failed: z.number(),
  tokensIn: z.number(),
  tokensOut: z.number(),
  /** From where a task was last taken to where it ended. */
  minutes: z.number(),
});
export type Used = z.infer<typeof usedSchema>;

/** Answer of `GET /api/v1/usage`: of tasks that ended then, the most tokens first, at most 500 names, or 500 of each bucket. */
export const usageViewSchema = z.object({
  items: z.array(usedSchema),
  /** Of buckets alone: where the next page begins; null on the last. */
  next: z.string().nullable().optional(),
});
export type UsageView = z.infer<typeof usageViewSchema>;

/** Query of `GET /api/v1/sessions/:id/usage`. */
export const sessionUsageQuerySchema = z.strictObject({
  hours: z.coerce.number().int().min(1).max(168).default(24),
});

/** Whose tasks ended on a worker in these hours, the most minutes first, at most 500; no prompts. */
export const sessionUsageSchema = z.object({
  items: z.array(
    z.object({
      user: z.string(),
      tasks: z.number(),
      /** Both ways. */
      tokens: z.number(),
      /** From where it was taken to where it ended. */
      minutes: z.number(),
    }),
  ),
});
export type SessionUsage = z.infer<typeof sessionUsageSchema>;
