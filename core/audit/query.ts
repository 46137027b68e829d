import { z } from 'zod';
import { instantSchema, listQuerySchema } from '../page.ts';

const word = z.string().min(1).max(128);

/** `GET /api/v1/audit` */
export const auditQuerySchema = listQuerySchema.extend({
  actor: word.optional(),
  as: word.optional(),
  verb: word.optional(),
  resource: word.optional(),
  /** What it is called, or its id. */
  name: word.optional(),
  /** `ok`, or the code of the refusal. */
  outcome: word.optional(),
  requestId: word.optional(),
  since: instantSchema.optional(),
  until: instantSchema.optional(),
  order: z.enum(['asc', 'desc']).default('desc'),
  /** `jsonl`: all of it, a line each, whatever the limit is. */
  format: z.enum(['json', 'jsonl']).default('json'),
});
export type AuditQuery = z.infer<typeof auditQuerySchema>;
/** Which events, and in which order. */
export type AuditFilter = Omit<AuditQuery, 'limit' | 'after' | 'format'>;

export const changeSchema = z.object({
  field: z.string(),
  from: z.unknown().optional(),
  to: z.unknown().optional(),
  /** It changed, and to what is not told. */
  masked: z.literal(true).optional(),
});

export const auditViewSchema = z.object({
  id: z.string(),
  /** By the database's clock. */
  at: z.string(),
  actor: z.string().nullable(),
  as: z.string().nullable(),
  token: z.string().nullable(),
  /** Token, address and request are shown to the actor, and to who may see all of the audit. */
  ip: z.string().nullable(),
  requestId: z.string().nullable(),
  verb: z.string(),
  resource: z.string(),
  name: z.string().nullable(),
  objectId: z.string().nullable(),
  outcome: z.string(),
  changes: z.array(changeSchema),
  dryRun: z.boolean(),
  /** How many equal refusals this stands for; 1 for all else. */
  count: z.number(),
});
export type AuditView = z.infer<typeof auditViewSchema>;
