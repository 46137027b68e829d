import { z } from 'zod';

/** `GET /api/v1/system`: which processes serve, whether the stores are well, and what the scheduler does. */
export const systemViewSchema = z.object({
  /** Of the edge that answers. */
  version: z.string(),
  edge: z.string(),
  edges: z.array(z.object({ id: z.string(), version: z.string(), startedAt: z.iso.datetime() })),
  stores: z.array(
    z.object({
      name: z.string(),
      /** `ok`, or what is wrong with it. */
      status: z.string(),
    }),
  ),
  /** Null: whether any scheduler leads cannot be asked now. */
  schedulerLeads: z.boolean().nullable(),
  duties: z.array(
    z.object({
      name: z.string(),
      ok: z.number(),
      failed: z.number(),
      /** What its last runs left for the next, over all. */
      left: z.number(),
      lastOkAt: z.iso.datetime().nullable(),
    }),
  ),
});
export type SystemView = z.infer<typeof systemViewSchema>;
