import { z } from 'zod';
import { instantSchema, orNothing, wordOr } from './newer-words.ts';
import { aliasSchema, modelSchema, nameSchema, textSchema, uuidSchema } from './names.ts';
import { listQuerySchema } from './page.ts';

export const llmKinds = ['public', 'virtual'] as const;
export type LlmKind = (typeof llmKinds)[number];
export const llmStatuses = ['active', 'inactive', 'hibernating'] as const;
const inactiveReasons = ['publisher_gone', 'backend_down', 'unpublished', 'denied'] as const;

const operations = ['chat', 'completions', 'embeddings', 'responses', 'messages'] as const;
export const operationSchema = z.enum(operations);
export type Operation = z.infer<typeof operationSchema>;
/** What a task may be beside an inference: a call of an MCP server's tool. Nobody asks a door of inference for it. */
export const taskOperationSchema = z.enum([...operations, 'mcp']);
export type TaskOperation = z.infer<typeof taskOperationSchema>;

/** What a backend can do, as its worker probed or declared it. Rows of another release may say more. */
export const capabilitiesSchema = z.looseObject({
  operations: z.array(operationSchema).max(operations.length).optional(),
  tools: z.boolean().optional(),
  vision: z.boolean().optional(),
  reasoning: z.boolean().optional(),
  /** It writes on from an answer that the messages end with. */
  prefill: z.boolean().optional(),
  contextLength: z.int().positive().optional(),
});
export type Capabilities = z.infer<typeof capabilitiesSchema>;

/** As JSON, in UTF-8 bytes. */
const MOST_CAPABILITIES_BYTES = 4_096;

/** Longer than any: what is told to callers and reckoned with. */
const MOST_CONTEXT = 1_000_000_000;

/** What is known here of what was said: nobody's own words are stored for everybody to be shown. */
function knownOf({
  operations,
  tools,
  vision,
  reasoning,
  prefill,
  contextLength,
}: Capabilities): Capabilities {
  const facts = { operations, tools, vision, reasoning, prefill, contextLength };
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined));
}

const isOperation = (word: string): word is Operation => operations.some((operation) => operation === word);
/** As another release says it: an operation that is not known here is one that nobody asks for here. */
const toldCapabilitiesSchema = capabilitiesSchema.extend({
  operations: z
    .array(z.string().meta({ enum: operations }))
    .transform((words) => words.filter(isOperation))
    .optional(),
});

const capped = <Schema extends typeof capabilitiesSchema | typeof toldCapabilitiesSchema>(schema: Schema) =>
  schema
    .refine(
      (capabilities) => Buffer.byteLength(JSON.stringify(capabilities)) <= MOST_CAPABILITIES_BYTES,
      `capabilities are at most ${MOST_CAPABILITIES_BYTES} bytes of JSON`,
    )
    .refine(({ contextLength = 1 }) => contextLength <= MOST_CONTEXT, {
      path: ['contextLength'],
      message: `must be at most ${MOST_CONTEXT}`,
    })
    .transform(knownOf);

/** The same for who writes a row. */
const newCapabilitiesSchema = capped(capabilitiesSchema);
/** The same for a worker, which may be newer: what it says besides is passed over, up to a size. */
export const offeredCapabilitiesSchema = capped(toldCapabilitiesSchema);

/** Where the operator keeps a public llm's key. The key itself is never in the registry. */
const apiKeyRefSchema = z.union([
  z.strictObject({ env: textSchema(128).min(1) }),
  z.strictObject({ file: textSchema(1024).min(1) }),
  z.strictObject({ secretRef: z.strictObject({ name: nameSchema, key: textSchema(128).min(1) }) }),
]);

export type ApiKeyRef = z.infer<typeof apiKeyRefSchema>;

/** Settings of mcpctl itself, and what leads to its Postgres and Redis: never the key of a backend. */
const ownVariable =
  /^(MCPCTL_|DATABASE_|REDIS_|PG[A-Z]|NODE_|XDG_)|^(WORKER_SOURCE|LOG_LEVEL|PORT|VISUAL|EDITOR|HTTPS?_PROXY|NO_PROXY)$/i;

/** Why a reference to a key is refused; undefined when it is not. Checked where it is written, and where it is used. */
export function refusedKeyRef(ref: ApiKeyRef): { path: 'env' | 'file'; message: string } | undefined {
  if ('env' in ref) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(ref.env)) {
      return { path: 'env', message: 'must be the name of an environment variable' };
    }
    if (!ownVariable.test(ref.env)) return undefined;
    return { path: 'env', message: `${ref.env} is a setting of mcpctl, not the key of a backend` };
  }
  if (!('file' in ref)) return undefined;
  const message = 'must be an absolute path to a file that holds the key alone';
  return /^\/(?!(proc|sys|dev)\/)/.test(ref.file) && !/\/\.{0,2}(\/|$)/.test(ref.file)
    ? undefined
    : { path: 'file', message };
}

/** The same for who writes a row: what stands in one already can still be read. */
const newApiKeyRefSchema = apiKeyRefSchema.superRefine((ref, context) => {
  const refused = refusedKeyRef(ref);
  if (refused) context.addIssue({ code: 'custom', path: [refused.path], message: refused.message });
});

export const llmTypeSchema = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,31}$/, 'a type is like openai, ollama, anthropic');

const writable = {
  type: llmTypeSchema.refine((type) => type !== 'mcp', 'is made as an MCP server: "mcpctl create server"'),
  model: modelSchema,
  tier: textSchema(64).nullable(),
  url: z
    .url({ protocol: /^https?$/ })
    .max(2048)
    .refine((url) => !/^https?:\/\/[^/?#]*@/i.test(url), 'must not carry a user or key; give apiKeyRef'),
  apiKeyRef: newApiKeyRefSchema.nullable(),
  poolName: nameSchema.nullable(),
  aliases: z.array(aliasSchema).max(16),
  description: textSchema(2000),
  capabilities: newCapabilitiesSchema,
  maxConcurrency: z.int().min(1).max(10_000).nullable(),
};

/** Body of `POST /api/v1/llms`: people make public llms only. Strict: an unknown field is a fault. */
export const llmCreateSchema = z.strictObject({
  name: nameSchema,
  type: writable.type,
  model: writable.model,
  url: writable.url,
  tier: writable.tier.optional(),
  apiKeyRef: writable.apiKeyRef.optional(),
  poolName: writable.poolName.optional(),
  aliases: writable.aliases.optional(),
  description: writable.description.optional(),
  capabilities: writable.capabilities.optional(),
  maxConcurrency: writable.maxConcurrency.optional(),
});
export type LlmCreate = z.infer<typeof llmCreateSchema>;

/** Body of `PUT /api/v1/llms/:name`: the same, the name being in the path. */
export const llmReplaceSchema = llmCreateSchema.omit({ name: true });
/** Body of `PATCH /api/v1/llms/:name`. */
export const llmPatchSchema = llmReplaceSchema.partial();
export type LlmPatch = z.infer<typeof llmPatchSchema>;

/** Query of `DELETE /api/v1/llms/:name`. */
export const llmDeleteQuerySchema = z.strictObject({
  /** `?force`: also one that a running worker publishes, which is put out. */
  force: z
    .enum(['', 'true', '1', 'false', '0'])
    .default('false')
    .transform((flag) => flag !== 'false' && flag !== '0'),
});
/** Query of `GET /api/v1/llms`. */
export const llmListQuerySchema = listQuerySchema.extend({
  kind: z.enum(llmKinds).optional(),
  status: z.enum(llmStatuses).optional(),
  pool: nameSchema.optional(),
  type: llmTypeSchema.optional(),
});

/**
 * What the server says of a session, past its worker: nothing new is given to it, and what runs goes on. `paused`: for a while ·
 * `draining`: until nothing of it runs, as before its machine is switched off. Both last until they are ended, whoever connects.
 */
export const holds = ['paused', 'draining'] as const;
export type Hold = (typeof holds)[number];
export const holdSchema = wordOr(holds, 'paused').nullable();

/** What row and view have in common. */
const llmShape = {
  id: uuidSchema,
  name: z.string(),
  aliases: z.array(z.string()),
  kind: z.enum(llmKinds),
  type: z.string(),
  model: z.string(),
  tier: z.string().nullable(),
  url: z.string().nullable(),
  apiKeyRef: apiKeyRefSchema.nullable(),
  poolName: z.string().nullable(),
  description: z.string(),
  capabilities: capabilitiesSchema,
  maxConcurrency: z.number().nullable(),
  status: z.enum(llmStatuses),
  inactiveReason: z.enum(inactiveReasons).nullable(),
  /** Why its backend refuses what its owner has configured (model, key, parameters, address), as a sentence. */
  misconfigured: z.string().nullable(),
  /** Why it takes nothing now, or sleeps, where that is its worker's doing, as a sentence. */
  statusReason: z.string().nullable(),
  /** Its worker is given nothing new; null: it is. */
  hold: z.enum(holds).nullable(),
  ownerId: z.string(),
  revision: z.number(),
};

/** An llm as the API shows it, liveness overlaid (docs/spec.md §2). */
export const llmViewSchema = z.object({
  ...llmShape,
  inactiveSince: z.string().nullable(),
  lastHeartbeatAt: z.string().nullable(),
  servedBy: z.number(),
  createdAt: z.string(),
  updatedAt: z.string(),
  pool: z.object({ key: z.string(), size: z.number(), activeCount: z.number() }).optional(),
});
export type LlmView = z.infer<typeof llmViewSchema>;

/** The row as Postgres holds it (`core/registry/llms/llms.ts` reads and writes it). */
export const llmRowSchema = z.object({
  ...llmShape,
  // An edge of a newer release may have written these: a row of its shall not hide the others.
  id: z.string(),
  kind: wordOr(llmKinds, 'virtual'),
  apiKeyRef: orNothing(apiKeyRefSchema),
  capabilities: toldCapabilitiesSchema.catch({}),
  status: wordOr(llmStatuses, 'inactive'),
  inactiveReason: wordOr(inactiveReasons, 'backend_down').nullable(),
  hold: holdSchema,
  poolKey: z.string(),
  /** Llms of one session that say the same are of one backend and share one count of slots. */
  slotGroup: z.string().nullable(),
  inactiveSince: instantSchema.nullable(),
  providerSessionId: z.string().nullable(),
  lastHeartbeatAt: instantSchema.nullable(),
  createdAt: instantSchema,
  updatedAt: instantSchema,
});
export type LlmRow = z.infer<typeof llmRowSchema>;
