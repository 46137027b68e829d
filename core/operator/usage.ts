import { z } from 'zod';

/** Query of `GET /api/v1/usage`. Rows are kept for `MCPCTL_RETENTION_MS`; what is older is not told. */
export const usageQuerySchema = z.strictObject({
  by: z.enum(['user', 'token', 'llm', 'pool']).default('user'),
  hours: z.coerce.number().int().min(1).max(8_760).default(24),
});
export type UsageQuery = z.infer<typeof usageQuerySchema>;

/** What somebody, or something, has used. */
const usedSchema = z.object({
  /** The name of the user, token, llm (as asked) or pool. */
  name: z.string(),
  /** Whose token it is; only by token. */
  user: z.string().optional(),
  /** Of the token, as log lines have it; only by token. */
  keyId: z.string().optional(),
  tasks: z.number(),
  completed: z.number(),
  tokensIn: z.number(),
  tokensOut: z.number(),
});
export type Used = z.infer<typeof usedSchema>;

/** Answer of `GET /api/v1/usage`: of tasks that ended in these hours, the most tokens first, at most 500. */
export const usageViewSchema = z.object({ items: z.array(usedSchema) });

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
