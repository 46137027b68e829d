import { z } from 'zod';
import { pieceSchema } from './made.ts';

/** `POST /api/v1/agents/<name>/compose`: what would be sent, and what it is made of. */
export const composedViewSchema = z.object({
  agent: z.string(),
  llm: z.string(),
  pool: z.string(),
  pinMode: z.enum(['pool', 'only']),
  /** By its name; null: none. */
  personality: z.string().nullable(),
  /** The parts of the system message, in order. */
  pieces: z.array(pieceSchema),
  /** Of the body. */
  bytes: z.number(),
  /** Tools of the call that the agent does not let through. */
  toolsLeft: z.array(z.string()),
  /** Names of prompts that the personality has and the agent has no longer in reach; only for who may see the persona. */
  outOfReach: z.array(z.string()).optional(),
  /** The default parameters that are in it, and its text: only for who may see the persona. */
  params: z.array(z.string()).optional(),
  body: z.string().optional(),
});
export type ComposedView = z.infer<typeof composedViewSchema>;
