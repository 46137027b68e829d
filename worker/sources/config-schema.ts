import { z } from 'zod';
import type { Fault } from '../../core/errors.ts';
import { agentOfferSchema, promptOfferSchema, refuseLongPersona } from '../../core/member/protocol.ts';
import { modelSchema, nameSchema, textSchema } from '../../core/names.ts';
import { serverNameSchema } from '../../core/mcp/names.ts';
import { healthCheckSchema, serverLimitsSchema } from '../../core/mcp/server-limits.ts';
import { nearest } from '../../core/runtime/nearest.ts';
import { readQuietHours } from '../owner/quiet-hours.ts';
import { isProviderType, providerTypes } from '../providers/index.ts';

/** The form of `$MCPCTL_HOME/config.json` (docs/spec.md §7): what this machine has, and what of it is published. */

const waitSchema = z.int().min(1).max(3_600).default(60);

const headerSchema = z
  .record(
    z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'is no name of a header'),
    z.string().regex(/^[\t\x20-\x7e\x80-\xff]*$/, 'must be one line of text'),
  )
  .optional();

const httpRecipe = {
  type: z.literal('http'),
  url: z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }),
  method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']).default('POST'),
  headers: headerSchema,
  body: z.unknown().optional(),
  maxWaitSeconds: waitSchema,
};
const commandRecipe = {
  type: z.literal('command'),
  command: z.string().min(1),
  args: z.array(z.string()).default([]),
  maxWaitSeconds: waitSchema,
};
const noBodyOfGet = (recipe: { method: string; body?: unknown }): boolean =>
  recipe.method !== 'GET' || recipe.body === undefined;
const ofGet = { path: ['body'], error: 'a GET carries no body; use POST' };
/** A week is as good as never. */
const idleSchema = z.number().positive().max(604_800).optional();

/** How a sleeping backend is woken (docs/spec.md §4); carried out by `worker/wake/`. */
const wakeSchema = z.discriminatedUnion('type', [
  z.strictObject(httpRecipe).refine(noBodyOfGet, ofGet),
  z.strictObject(commandRecipe),
]);
export type Wake = z.infer<typeof wakeSchema>;

/** How one that runs by itself is put to sleep when nobody has called it for a while. */
const sleepSchema = z.discriminatedUnion('type', [
  z.strictObject({ ...httpRecipe, idleStopSeconds: idleSchema }).refine(noBodyOfGet, ofGet),
  z.strictObject({ ...commandRecipe, idleStopSeconds: idleSchema }),
]);
export type SleepEntry = z.infer<typeof sleepSchema>;
/** What is done to a backend from outside of it. */
export type Recipe = Wake | SleepEntry;

const variableSchema = z
  .strictObject({
    name: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'must be the name of an environment variable'),
    value: z.string().max(65_536).optional(),
    valueFrom: z
      .strictObject({
        secretRef: z.strictObject({ name: nameSchema, key: z.string().min(1).max(128) }),
      })
      .optional(),
    /** Without it the server is not started where the secret is missing. */
    optional: z.boolean().default(false),
  })
  .refine((entry) => (entry.value === undefined) !== (entry.valueFrom === undefined), {
    path: ['value'],
    error: 'give value or valueFrom, one of them',
  });
const variablesSchema = z.array(variableSchema).max(128);

/** `{ "NAME": "value" }`, or as MCP servers have it where a value is a secret of this machine. */
const environmentSchema = z.preprocess(
  (given) =>
    typeof given === 'object' && given !== null && !Array.isArray(given)
      ? Object.entries(given).map(([name, value]: [string, unknown]) => ({ name, value }))
      : given,
  variablesSchema,
);

/** A backend that the worker starts and stops itself (docs/spec.md §7); kept by `worker/managed/`. */
const managedSchema = z.strictObject({
  command: z.string().min(1).max(4_096),
  args: z.array(z.string().max(65_536)).max(256).default([]),
  env: environmentSchema.default([]),
  cwd: z.string().min(1).optional(),
  ready: z
    .string()
    .regex(/^\/[!-~]*$/, 'must be a path, like /v1/models')
    .max(2_048)
    .default('/v1/models'),
  // With the wait for another of its group an hour at most, which is what a wake may take.
  startSeconds: z.number().positive().max(1_800).default(120),
  idleStopSeconds: idleSchema,
  group: nameSchema.optional(),
  memoryMb: z.int().min(16).max(16_777_216).optional(),
});
export type ManagedEntry = z.infer<typeof managedSchema>;

const quietSchema = z
  .array(
    z.string().transform((text, context) => {
      const spans = readQuietHours(text);
      if (spans) return spans;
      context.addIssue({ code: 'custom', message: 'must be like "Mon-Fri 09:00-18:00", in local time' });
      return z.NEVER;
    }),
  )
  .max(64)
  .transform((spans) => spans.flat());

const backendUrlSchema = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .refine(
    (url) => !/^https?:\/\/[^/?#]*@/i.test(url),
    'must not carry a user or key; use apiKey or apiKeyFile',
  );

const providerSchema = z
  .strictObject({
    name: nameSchema,
    type: z.string().refine(isProviderType, { error: ({ input }) => unknownType(String(input)) }),
    url: backendUrlSchema.optional(),
    apiKey: z.string().min(1).optional(),
    apiKeyFile: z.string().min(1).optional(),
    model: modelSchema,
    tier: textSchema(64).optional(),
    publish: z.boolean().default(false),
    poolName: nameSchema.optional(),
    maxConcurrency: z.int().min(1).max(10_000).optional(),
    wake: wakeSchema.optional(),
    managed: managedSchema.optional(),
    sleep: sleepSchema.optional(),
    idleStopSeconds: idleSchema,
    quiet: quietSchema.optional(),
    quietCuts: z.boolean().optional(),
    ownerFirst: z.boolean().optional(),
    stallSeconds: z.number().positive().max(86_400).default(120),
    dropParams: z.array(z.string()).optional(),
    addParams: z.record(z.string(), z.unknown()).optional(),
    renameParams: z.record(z.string(), z.string()).optional(),
  })
  .refine((p) => p.apiKey === undefined || p.apiKeyFile === undefined, {
    path: ['apiKeyFile'],
    error: 'give apiKey or apiKeyFile, not both',
  })
  .refine((p) => p.managed === undefined || p.wake === undefined, {
    path: ['wake'],
    error: 'is not for a managed backend: its worker starts it',
  })
  .refine((p) => p.managed === undefined || p.sleep === undefined, {
    path: ['sleep'],
    error: 'is not for a managed backend: managed.idleStopSeconds has its worker stop it',
  })
  .refine((p) => p.sleep === undefined || p.wake !== undefined, {
    path: ['sleep'],
    error: 'needs a wake recipe beside it, which gets the backend up again',
  })
  .refine((p) => p.idleStopSeconds === undefined || p.sleep !== undefined || p.managed !== undefined, {
    path: ['idleStopSeconds'],
    error: 'is for a backend with sleep or managed, which say how it is stopped',
  });

export type ProviderEntry = z.infer<typeof providerSchema>;

/** An MCP server that this machine runs as a child; what starts it is named here and nowhere else. */
const mcpServerSchema = z.strictObject({
  name: serverNameSchema,
  command: z.string().min(1).max(4_096),
  args: z.array(z.string().max(65_536)).max(256).default([]),
  cwd: z.string().min(1).optional(),
  env: variablesSchema.default([]),
  publish: z.boolean().default(true),
  ...serverLimitsSchema.shape,
  healthCheck: healthCheckSchema.optional(),
});
export type McpServerEntry = z.infer<typeof mcpServerSchema>;

/** One worker's children. */
const MOST_SERVERS = 32;

/** Two entries with one name, as a fault of the later one. */
function refuseNamesakes(section: string) {
  return (entries: readonly { name: string }[], context: z.RefinementCtx): void => {
    for (const [index, { name }] of entries.entries()) {
      const first = entries.findIndex((other) => other.name === name);
      if (first === index) continue;
      const message = `is also the name of ${section}[${String(first)}]`;
      context.addIssue({ code: 'custom', path: [index, 'name'], message });
    }
  };
}

const promptSchema = z.strictObject(promptOfferSchema.shape);

/** In the form that it has in a registration. */
const agentSchema = z
  .strictObject({
    ...agentOfferSchema.shape,
    prompts: z.array(promptSchema).max(64).superRefine(refuseNamesakes('prompts')).default([]),
  })
  .superRefine(refuseLongPersona);

/** One user may have no more of them anyhow. */
const MOST_AGENTS = 256;

export const configSchema = z.looseObject({
  /** Of all providers that do not say otherwise. */
  quiet: quietSchema.default([]),
  quietCuts: z.boolean().default(false),
  ownerFirst: z.boolean().default(false),
  providers: z.array(providerSchema).default([]).superRefine(refuseNamesakes('providers')),
  mcpServers: z
    .array(mcpServerSchema)
    .max(MOST_SERVERS)
    .default([])
    .superRefine(refuseNamesakes('mcpServers')),
  /** What this machine's own programs may call; nothing listens unless told. */
  mcp: z.strictObject({ listen: z.int().min(1).max(65_535).optional() }).default({}),
  agents: z.array(agentSchema).max(MOST_AGENTS).default([]).superRefine(refuseNamesakes('agents')),
});

/** A fault of the file as a person reads it: where, and what to do about it. */
export function faultsOf(issue: z.core.$ZodIssue): Fault[] {
  const path = issue.path
    .map((part, n) => (typeof part === 'number' ? `[${String(part)}]` : `${n > 0 ? '.' : ''}${String(part)}`))
    .join('');
  if (issue.code !== 'unrecognized_keys') return [{ path: path || 'config.json', message: issue.message }];
  const keys = keysAt(issue.path);
  return issue.keys.map((key) => ({ path: `${path}.${key}`, message: unknownKey(key, keys) }));
}

function keysAt(path: readonly PropertyKey[]): string[] {
  if (path[0] === 'mcpServers')
    return Object.keys(path.includes('env') ? variableSchema.shape : mcpServerSchema.shape);
  if (path[0] === 'mcp') return ['listen'];
  if (path[0] === 'agents')
    return Object.keys(path.includes('prompts') ? promptSchema.shape : agentSchema.shape);
  if (path.includes('wake')) return wakeKeys;
  if (path.includes('sleep')) return [...wakeKeys, 'idleStopSeconds'];
  return Object.keys(path.includes('managed') ? managedSchema.shape : providerSchema.shape);
}

/** Warnings for what is at the top level and means nothing there. */
export function unknownSections(config: object): string[] {
  const keys = Object.keys(configSchema.shape);
  return Object.keys(config)
    .filter((key) => !keys.includes(key))
    .map((key) => `config.json: ${key} ${unknownKey(key, keys)}. It is ignored.`);
}

const wakeKeys = [...new Set(wakeSchema.options.flatMap((option) => Object.keys(option.shape)))];

function unknownKey(key: string, keys: readonly string[]): string {
  const near = nearest(key, keys, 1)[0];
  return near ? `is not known; did you mean ${near}?` : `is not known; known are ${keys.join(', ')}`;
}

function unknownType(type: string): string {
  const types = Object.keys(providerTypes);
  const near = nearest(type, types, 1)[0];
  return near
    ? `"${type}" is not a provider type; did you mean ${near}?`
    : `"${type}" is not a provider type; use one of ${types.join(', ')} (openai for any compatible URL)`;
}
