import { z } from 'zod';
import { poolViewSchema } from '../pool.ts';

/** What ended in the last minutes. */
const latelySchema = z.object({
  /** How far back that goes: five minutes, or as far as the newest 5,000 do. */
  seconds: z.number(),
  ended: z.number(),
  /** Ended with an error. */
  failed: z.number(),
  /** Tokens of answers. */
  tokensPerS: z.number(),
  /** From a streamed call to its first event, the median; null: none was streamed. */
  firstTokenMs: z.number().nullable(),
});
export type Lately = z.infer<typeof latelySchema>;

const overviewPoolSchema = poolViewSchema.omit({ members: true, allowed: true }).extend({
  /** Of members that one may see. */
  slots: z.number(),
  firstTokenMs: latelySchema.shape.firstTokenMs,
});
export type OverviewPool = z.infer<typeof overviewPoolSchema>;

/** `GET /api/v1/overview`: how it goes, of what one may see. */
export const overviewViewSchema = z.object({
  sums: z.object({
    pools: z.number(),
    members: z.number(),
    serving: z.number(),
    running: z.number(),
    waiting: z.number(),
  }),
  workers: z.object({
    total: z.number(),
    /** Heard of within a lease. */
    there: z.number(),
  }),
  /** Pools, or workers, beyond 500 are not counted. */
  more: z.boolean(),
  lately: latelySchema,
  /** The first 100 by name. */
  pools: z.array(overviewPoolSchema),
});
export type OverviewView = z.infer<typeof overviewViewSchema>;
