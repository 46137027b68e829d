import { z } from 'zod';
import { capabilitiesSchema, llmTypeSchema } from './llm.ts';
import { modelSchema, nameSchema, textSchema, uuidSchema } from './names.ts';

/**
 * The wire between worker and edge, protocol 1 (SPEC §3). Bodies ignore unknown fields, because older and
 * newer workers meet: every object here is a plain `z.object`, which strips them.
 */
export const PROTOCOL = 1;

const providerOfferSchema = z.object({
  name: nameSchema,
  type: llmTypeSchema,
  model: modelSchema,
  tier: textSchema(64).nullish(),
  poolName: nameSchema.nullish(),
  maxConcurrency: z.int().min(1).max(10_000).nullish(),
  capabilities: capabilitiesSchema.nullish(),
  initialStatus: z.enum(['active', 'hibernating']).default('active'),
});
export type ProviderOffer = z.infer<typeof providerOfferSchema>;

/** Virtual agents come later (SPEC §12): checked, and answered with a warning. */
const agentOfferSchema = z.object({
  name: nameSchema,
  llm: nameSchema,
  description: textSchema(2000).optional(),
  systemPrompt: z.string().max(100_000).optional(),
  defaultParams: z.looseObject({}).optional(),
});

const once = (items: readonly { name: string }[]): boolean =>
  new Set(items.map((item) => item.name)).size === items.length;

export const registerSchema = z.object({
  providerSessionId: uuidSchema.optional(),
  /** Random per process: tells a restarted worker from a copied session file. */
  instanceId: textSchema(64).min(1).optional(),
  protocol: z.int().min(1).default(PROTOCOL),
  workerVersion: textSchema(64).optional(),
  bullmqVersion: textSchema(64).optional(),
  /** What the worker can do, best first; an older worker that is silent knows sse only. */
  transports: z.array(z.string().max(32)).max(8).default(['sse']),
  providers: z.array(providerOfferSchema).max(256).refine(once, 'two providers have the same name'),
  agents: z.array(agentOfferSchema).max(256).optional(),
});
export type RegisterBody = z.infer<typeof registerSchema>;

export const sessionBodySchema = z.object({ providerSessionId: uuidSchema });

/** How the worker is to take its tasks. `url`, `username`, `password` only where the edge hands them out. */
const transportSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('redis'),
    namespace: z.string(),
    url: z.string().optional(),
    username: z.string().optional(),
    password: z.string().optional(),
  }),
  z.object({ kind: z.literal('sse') }),
]);
export type Transport = z.infer<typeof transportSchema>;

/** Answer of `_provider-register`, 201. Loose: a newer edge may say more. */
export const registeredSchema = z.looseObject({
  providerSessionId: uuidSchema,
  llms: z.array(z.looseObject({ id: uuidSchema, name: z.string(), poolKey: z.string(), status: z.string() })),
  agents: z.array(z.unknown()),
  warnings: z.array(z.string()),
  transport: transportSchema,
});
export type Registered = z.infer<typeof registeredSchema>;
