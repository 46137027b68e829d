import { z } from 'zod';
import type { Fault } from '../../core/errors.ts';
import { modelSchema, nameSchema, textSchema } from '../../core/names.ts';
import { nearest } from '../../core/runtime/nearest.ts';
import { isProviderType, providerTypes } from '../providers/index.ts';

/** The form of `$MCPCTL_HOME/config.json` (docs/spec.md §7): what this machine has, and what of it is published. */

const waitSchema = z.int().min(1).max(3_600).default(60);

const headerSchema = z
  .record(
    z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'is no name of a header'),
    z.string().regex(/^[\t\x20-\x7e\x80-\xff]*$/, 'must be one line of text'),
  )
  .optional();

/** How a sleeping backend is woken (docs/spec.md §4); carried out by `worker/wake/`. */
const wakeSchema = z.discriminatedUnion('type', [
  z
    .strictObject({
      type: z.literal('http'),
      url: z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }),
      method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']).default('POST'),
      headers: headerSchema,
      body: z.unknown().optional(),
      maxWaitSeconds: waitSchema,
    })
    .refine((wake) => wake.method !== 'GET' || wake.body === undefined, {
      path: ['body'],
      error: 'a GET carries no body; use POST',
    }),
  z.strictObject({
    type: z.literal('command'),
    command: z.string().min(1),
    args: z.array(z.string()).default([]),
    maxWaitSeconds: waitSchema,
  }),
]);
export type Wake = z.infer<typeof wakeSchema>;

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
    stallSeconds: z.number().positive().max(86_400).default(120),
    dropParams: z.array(z.string()).optional(),
    addParams: z.record(z.string(), z.unknown()).optional(),
    renameParams: z.record(z.string(), z.string()).optional(),
  })
  .refine((p) => p.apiKey === undefined || p.apiKeyFile === undefined, {
    path: ['apiKeyFile'],
    error: 'give apiKey or apiKeyFile, not both',
  });

export type ProviderEntry = z.infer<typeof providerSchema>;

export const configSchema = z.looseObject({
  providers: z
    .array(providerSchema)
    .default([])
    .superRefine((providers, context) => {
      for (const [index, { name }] of providers.entries()) {
        const first = providers.findIndex((other) => other.name === name);
        if (first === index) continue;
        const message = `is also the name of providers[${String(first)}]`;
        context.addIssue({ code: 'custom', path: [index, 'name'], message });
      }
    }),
  agents: z.array(z.unknown()).default([]),
});

/** A fault of the file as a person reads it: where, and what to do about it. */
export function faultsOf(issue: z.core.$ZodIssue): Fault[] {
  const path = issue.path
    .map((part, n) => (typeof part === 'number' ? `[${String(part)}]` : `${n > 0 ? '.' : ''}${String(part)}`))
    .join('');
  if (issue.code !== 'unrecognized_keys') return [{ path: path || 'config.json', message: issue.message }];
  const keys = issue.path.includes('wake') ? wakeKeys : Object.keys(providerSchema.shape);
  return issue.keys.map((key) => ({ path: `${path}.${key}`, message: unknownKey(key, keys) }));
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
