import { z } from 'zod';
import { operationSchema } from '../llm.ts';

/** Body of `POST /api/v1/llms/:name/explain`: what would be asked. Strict, but for `request`. */
export const explainAskSchema = z.strictObject({
  request: z.looseObject({}),
  operation: operationSchema.optional(),
});

/** What became, or would become, of a member in the choice of who answers. */
const verdicts = ['chosen', 'ready', 'busy', 'waking', 'failed', 'excluded', 'away', 'drains'] as const;

export const candidateSchema = z.object({
  name: z.string(),
  /** `chosen`: has, or had, the task · `ready` would take one · `busy`: all its slots run · `waking`: sleeps and can be woken · `failed`: tried and gave it back · `excluded`: cannot do it · `away`: does not serve · `drains`: has left the pool, and takes what waits. */
  verdict: z.enum(verdicts),
  /** A sentence. */
  reason: z.string(),
});
export type Candidate = z.infer<typeof candidateSchema>;

/** Answer of `GET` and `POST /api/v1/llms/:name/explain` and `/api/v1/tasks/:id/explain`. */
export const explainViewSchema = z.object({
  /** All of it in a sentence. */
  summary: z.string(),
  candidates: z.array(candidateSchema),
  /** Where a request that was asked about would stand in the queue; 1 is the next. Absent where none was. */
  place: z.int().optional(),
});
export type ExplainView = z.infer<typeof explainViewSchema>;
