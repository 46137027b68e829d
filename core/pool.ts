import { z } from 'zod';
import { capabilitiesSchema, holds, llmKinds, llmStatuses } from './llm.ts';

/** Body of `POST /api/v1/pools/:key/allow`, `/deny` and `/owner`: a user's name. */
export const poolGuestSchema = z.strictObject({ user: z.string().min(1).max(63) });

/** Of a member, where one pool is shown: what came of tasks that one may see, in the last five minutes; what none of them says is left out. */
const recentlySchema = z.object({
  /** From a streamed call to its first event, the median in milliseconds. */
  ttftP50: z.number().optional(),
  /** Tokens of its answers, by how long it worked at them. */
  tokensPerS: z.number().optional(),
  /** The last error that one of them ended with. */
  lastError: z.object({ code: z.string(), at: z.string() }).optional(),
});
export type MemberRecently = z.infer<typeof recentlySchema>;

export const memberViewSchema = z.object({
  name: z.string(),
  kind: z.enum(llmKinds),
  status: z.enum(llmStatuses),
  misconfigured: z.string().nullable(),
  statusReason: z.string().nullable(),
  hold: z.enum(holds).nullable(),
  model: z.string(),
  capabilities: capabilitiesSchema,
  /** Of the worker that publishes it; null where there is none, or for who may not see it. */
  session: z.string().nullable(),
  running: z.number(),
  slots: z.number(),
  lastSeenAt: z.string().nullable(),
  /** It takes nothing until then, at least: its backend has just failed, or it said nothing of its tasks. */
  restingUntil: z.string().optional(),
  ...recentlySchema.shape,
});
export type MemberView = z.infer<typeof memberViewSchema>;

/** Answer of `GET /api/v1/llms/:name/members`. */
export const membersViewSchema = z.object({
  poolKey: z.string(),
  size: z.number(),
  activeCount: z.number(),
  members: z.array(memberViewSchema),
});
export type MembersView = z.infer<typeof membersViewSchema>;

/** One entry of `GET /api/v1/pools`. */
export const poolViewSchema = membersViewSchema.extend({
  /** The user whose pool it is: they say who joins it. */
  owner: z.string().nullable(),
  /** Whom the owner has let in, beside themselves; shown to who may say so. */
  allowed: z.array(z.string()).optional(),
  pending: z.number(),
  running: z.number(),
  /** Age of the oldest pending task in milliseconds; null when none waits. */
  oldestPendingMs: z.number().nullable(),
});
export type PoolView = z.infer<typeof poolViewSchema>;

/** Answer of `POST /api/v1/pools/:key/owner`. */
export const poolOwnerViewSchema = z.object({ poolKey: z.string(), owner: z.string() });
