import { z } from 'zod';

export const MOST_DOCUMENTS = 500;

/** Body of `POST /api/v1/apply`. */
export const applySchema = z.strictObject({
  /** Each a resource as the API shows it, headed by its word. */
  documents: z
    .array(z.looseObject({ resource: z.string().max(64) }))
    .min(1)
    .max(MOST_DOCUMENTS),
  /** Says what would be done; nothing is. */
  dryRun: z.boolean().default(false),
});

/** What became of the documents, in their order. */
export const appliedSchema = z.object({
  dryRun: z.boolean(),
  /** What is as the documents say, and perhaps not as they mean. */
  warnings: z.array(z.string()),
  items: z.array(
    z.object({
      resource: z.string(),
      id: z.string(),
      name: z.string(),
      outcome: z.enum(['created', 'changed', 'unchanged']),
      /** The names of the fields that are not as they were. */
      changed: z.array(z.string()),
    }),
  ),
});
