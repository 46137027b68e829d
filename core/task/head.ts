import { z } from 'zod';
import { taskOperationSchema } from '../llm.ts';

/** What a caller may have asked for in place of a chat. */
export const translatedOperations = ['responses', 'messages'] as const;

/** What goes to a worker beside the body: small, kept with the row so that a lost Redis can be refilled. */
export const taskHeadSchema = z.object({
  operation: taskOperationSchema,
  streaming: z.boolean(),
  /** The few headers that a backend may see. */
  headers: z.record(z.string(), z.string()),
  /** The name that the caller asked for. */
  llmName: z.string(),
  /** Milliseconds that one claim may run. */
  runMs: z.number().positive(),
  /** Llm ids of members that cannot do it; none of them gets it. */
  unfit: z.array(z.string()).readonly().optional(),
  /** Llm ids of members that leave it to others for a moment: it may be too long for them. */
  spared: z.array(z.string()).readonly().optional(),
  /** Llm ids of members with less room than another: a text that is too long for one of them goes on. */
  shorter: z.array(z.string()).readonly().optional(),
  /** What was asked for, where `operation` is what a translation of it asks a member for: chat. */
  translated: z.enum(translatedOperations).optional(),
});
export type TaskHead = z.infer<typeof taskHeadSchema>;

/**
 * The same as a row keeps it, perhaps of a newer release: what is not known here goes on to the member as it is, which hands
 * it back where it does not know it either.
 */
export const keptHeadSchema = z.looseObject({
  ...taskHeadSchema.shape,
  operation: z.string(),
  translated: z.string().optional(),
});
export type KeptHead = z.infer<typeof keptHeadSchema>;

/** The same as who runs it reads it: what the body was translated from is for those who translate it again. */
export const heldHeadSchema = taskHeadSchema.omit({ translated: true });
