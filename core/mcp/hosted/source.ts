import { z } from 'zod';
import { nameSchema, textSchema } from '../../names.ts';
import { exactVersionSchema, integritySchema, packageNameSchema, programSchema } from './package.ts';
import { paramsSchema, variableNameSchema } from './template.ts';

/** What a hosted worker makes an MCP server of. Of one that a person's machine runs there is none of it anywhere. */

const argsSchema = z.array(z.string().max(8_192)).max(128).default([]);

/** `version` is the template's; left out, the one that there is when it is written. */
const ofTemplateSchema = z.strictObject({
  template: nameSchema,
  version: exactVersionSchema.optional(),
  params: paramsSchema.default({}),
});
const ofPackageSchema = z.strictObject({
  package: packageNameSchema,
  version: exactVersionSchema,
  integrity: integritySchema,
  program: programSchema.optional(),
  args: argsSchema,
});
/** What is on the machines of hosted workers anyhow. */
const commandSchema = z.strictObject({
  command: z.string().min(1).max(4_096),
  args: argsSchema,
  cwd: z.string().startsWith('/').max(4_096).optional(),
});

const valueFromSchema = z.strictObject({
  secretRef: z.strictObject({ name: nameSchema, key: textSchema(128).min(1) }),
});
/** A value that everybody may see who may change the server, or one that only its hosted worker opens. */
const valued = {
  value: z.string().max(16_384).optional(),
  valueFrom: valueFromSchema.optional(),
  /** Without it the server is not started where the secret is missing. */
  optional: z.boolean().default(false),
};
const isOneOf = (entry: { value?: unknown; valueFrom?: unknown }): boolean =>
  (entry.value === undefined) !== (entry.valueFrom === undefined);
const giveOne = { path: ['value'], error: 'give value or valueFrom, one of them' };

/** What of HTTP is not theirs to say: it is the protocol's, or the connection's. */
const ownHeader =
  /^(host|connection|content-.*|accept(-.*)?|transfer-encoding|upgrade|te|trailer|expect|cookie|mcp-.*|last-event-id|keep-alive|proxy-.*)$/i;
const headerSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, 'must be the name of a header')
      .refine((name) => !ownHeader.test(name), 'is a header that the protocol says itself'),
    ...valued,
  })
  .refine(isOneOf, giveOne)
  .refine(({ value = '' }) => /^[\t\x20-\x7e]*$/.test(value), {
    path: ['value'],
    error: 'must be one line of text',
  });
/** Streamable HTTP, dialled by a hosted worker at addresses that it may dial. */
const urlSchema = z.strictObject({
  url: z
    .url({ protocol: /^https?$/ })
    .max(2_048)
    .refine((url) => !/^https?:\/\/[^/?#]*@/i.test(url), 'must not carry a user or key; give a header'),
  headers: z.array(headerSchema).max(32).default([]),
});

export const sourceSchema = z.union([ofTemplateSchema, ofPackageSchema, commandSchema, urlSchema]);
export type Source = z.infer<typeof sourceSchema>;

/** What would have the program do something else than it is for. */
const refusedVariable = /^(LD_|DYLD_|MCPCTL_)|^(NODE_OPTIONS|PYTHONSTARTUP|BASH_ENV|ENV|PATH|HOME)$/;

export const serverVariableSchema = z
  .strictObject({
    name: variableNameSchema.refine(
      (name) => !refusedVariable.test(name),
      'is a variable that is not to be set here',
    ),
    ...valued,
  })
  .refine(isOneOf, giveOne);
export type ServerVariable = z.infer<typeof serverVariableSchema>;

export const serverEnvSchema = z
  .array(serverVariableSchema)
  .max(64)
  .refine((entries) => new Set(entries.map(({ name }) => name)).size === entries.length, 'names one twice');

/**
 * What a source was when it was written, with nothing left to look up: the row's own column `runs`. A template that changes
 * changes no server.
 */
export const runsSchema = z.union([
  ofPackageSchema.omit({ program: true }).extend({
    program: z.string().nullable(),
    env: z.array(z.object({ name: z.string(), value: z.string() })),
  }),
  commandSchema,
  urlSchema,
]);
export type Runs = z.infer<typeof runsSchema>;

/** What of a server is not in its row but in a secret, by where it goes: `env.TOKEN`, `headers.authorization`. */
export interface SecretUse {
  place: string;
  name: string;
  key: string;
  optional: boolean;
}

/** @param source null: its worker is a person's. */
export function secretsOf(source: Source | null, env: readonly ServerVariable[]): SecretUse[] {
  const headers = source !== null && 'url' in source ? source.headers : [];
  const entries = [
    ...env.map((entry) => ({ ...entry, place: `env.${entry.name}` })),
    ...headers.map((entry) => ({ ...entry, place: `headers.${entry.name.toLowerCase()}` })),
  ];
  return entries.flatMap(({ place, valueFrom, optional }) =>
    valueFrom ? [{ place, ...valueFrom.secretRef, optional }] : [],
  );
}
