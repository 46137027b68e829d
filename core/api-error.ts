import { z } from 'zod';
import { errorReasonSchema } from './task/error-reason.ts';

/** The error body of `/api/v1` (docs/spec.md §11). */
export const apiErrorSchema = z.object({
  error: z.string(),
  code: z.string(),
  requestId: z.string(),
  details: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  /** What a backend said beside the sentence. */
  reason: errorReasonSchema.optional(),
  /** The task that it is about, where one was made. */
  taskId: z.string().optional(),
});
export type ApiError = z.infer<typeof apiErrorSchema>;
