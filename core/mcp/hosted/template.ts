import { z } from 'zod';
import type { Fault } from '../../errors.ts';
import { nameSchema, textSchema } from '../../names.ts';
import { healthCheckSchema } from '../server-limits.ts';
import { exactVersionSchema, integritySchema, packageNameSchema, programSchema } from './package.ts';

export const variableNameSchema = z
  .string()
  .regex(/^[A-Z_][A-Z0-9_]{0,127}$/, 'must be the name of an environment variable, in capitals');

const paramNameSchema = z.string().regex(/^[a-z][A-Za-z0-9_-]{0,31}$/, 'must be a word, as "folder"');
const lineSchema = textSchema(500).min(1);

const patternSchema = z
  .string()
  .min(1)
  .max(500)
  .refine((pattern) => wholeOf(pattern) !== null, 'is no regular expression');

const paramSchema = z.strictObject({
  name: paramNameSchema,
  description: lineSchema,
  /** Of the whole value. */
  pattern: patternSchema,
  /** What it is where nobody says. */
  default: z.string().max(1_024).optional(),
  required: z.boolean().default(true),
});

/** `${name}` stands for a param as one argument, and never for a part of one. */
const PARAM = /^\$\{([A-Za-z0-9_-]+)\}$/;
const partSchema = z
  .string()
  .min(1)
  .max(1_024)
  .refine(
    (part) => PARAM.test(part) || !part.includes('${'),
    'names a param beside other text: a param is a whole argument',
  );
/** A list is left out as a whole where a param of it has no value. */
const argumentSchema = z.union([partSchema, z.array(partSchema).min(1).max(8)]);

const variableSchema = z.strictObject({
  name: variableNameSchema,
  description: lineSchema,
  /** As it is, or one param; without it whoever makes a server says what it is to be. */
  value: partSchema.optional(),
  required: z.boolean().default(true),
  /** It is to come from a secret. */
  secret: z.boolean().default(false),
});

/** A file of `templates/`: what a server is that somebody may make of it. */
export const templateSchema = z
  .strictObject({
    name: nameSchema,
    /** Of the template; a package has its own. */
    version: exactVersionSchema,
    title: textSchema(100).min(1),
    description: lineSchema,
    transport: z.literal('stdio'),
    package: packageNameSchema,
    packageVersion: exactVersionSchema,
    integrity: integritySchema,
    /** Which of its programs. */
    program: programSchema,
    args: z.array(argumentSchema).max(64).default([]),
    params: z.array(paramSchema).max(32).default([]),
    env: z.array(variableSchema).max(64).default([]),
    /** What it can reach of its machine and beyond: `files`, `network`, `system`. */
    reaches: z.array(z.enum(['files', 'network', 'system'])).max(8),
    healthCheck: healthCheckSchema,
    docs: z.url({ protocol: /^https$/ }).max(500),
  })
  .superRefine((template, context) => {
    const params = new Set(template.params.map(({ name }) => name));
    const parts = [...template.args.flat(), ...template.env.flatMap(({ value }) => value ?? [])];
    for (const part of parts) {
      const name = PARAM.exec(part)?.[1];
      if (name !== undefined && !params.has(name))
        context.addIssue({ code: 'custom', message: `names the param "${name}", and has none of that name` });
    }
  });
export type Template = z.infer<typeof templateSchema>;

export const paramsSchema = z
  .record(paramNameSchema, z.string().max(1_024))
  .refine((params) => Object.keys(params).length <= 32, 'has more than 32 params');

/** A template with the values of its params: what its program is started with. */
export interface Filled {
  args: string[];
  env: { name: string; value: string }[];
}

/**
 * A value is one argument as it is, or is refused: nothing of it is read by a shell, taken apart, or taken for an option.
 * @returns what is wrong with the params, where anything is.
 */
export function fillTemplate(
  { params, args, env }: Pick<Template, 'params' | 'args' | 'env'>,
  given: Readonly<Record<string, string>>,
): Filled | { faults: Fault[] } {
  const faults = Object.keys(given)
    .filter((name) => params.every((param) => param.name !== name))
    .map((name) => ({ path: `params.${name}`, message: unknownParam(params) }));
  const values = new Map<string, string>();
  for (const param of params) {
    const value = Object.hasOwn(given, param.name) ? given[param.name] : param.default;
    const message = value === undefined ? missing(param) : refused(param, value);
    if (message !== null) faults.push({ path: `params.${param.name}`, message });
    else if (value !== undefined) values.set(param.name, value);
  }
  if (faults.length > 0) return { faults };
  /** Undefined where one of them has no value. */
  const filled = (parts: readonly string[]): string[] | undefined => {
    const all = parts.map((part) => valueOf(part, values));
    return all.every((part) => part !== undefined) ? all : undefined;
  };
  return {
    args: args.flatMap((argument) => filled([argument].flat()) ?? []),
    env: env.flatMap(({ name, value }) => {
      const is = value === undefined ? undefined : valueOf(value, values);
      return is === undefined ? [] : [{ name, value: is }];
    }),
  };
}

interface VariableFault {
  variable: Template['env'][number];
  wrong: 'missing' | 'plain';
}

/**
 * What is wrong with the variables that somebody gives beside a template's own, in its order: one is missing, or is plain where it
 * is to be a secret.
 */
export function variableFaults(
  { env }: Pick<Template, 'env'>,
  given: readonly { name: string; isSecret: boolean }[],
): VariableFault[] {
  return env.flatMap((variable): VariableFault[] => {
    const own = given.find(({ name }) => name === variable.name);
    if (!own)
      return variable.required && variable.value === undefined ? [{ variable, wrong: 'missing' }] : [];
    return variable.secret && !own.isSecret ? [{ variable, wrong: 'plain' }] : [];
  });
}

type Param = Template['params'][number];

function valueOf(part: string, values: ReadonlyMap<string, string>): string | undefined {
  const name = PARAM.exec(part)?.[1];
  return name === undefined ? part : values.get(name);
}

const unknownParam = (params: readonly Param[]): string =>
  params.length === 0
    ? 'is not known: this template has no params'
    : `is not known; there are: ${params.map(({ name }) => name).join(', ')}`;

const missing = ({ required, description }: Param): string | null =>
  required ? `is required: ${description}` : null;

/** Not the value itself: it may be what nobody is to read. */
function refused({ pattern, description }: Param, value: string): string | null {
  if (value === '' || value.length > 1_024 || /[\u0000-\u001f\u007f]/.test(value) || !value.isWellFormed())
    return 'must be one line of 1 to 1,024 characters';
  if (value.startsWith('-')) return 'must not begin with "-": its program would take it for an option';
  return wholeOf(pattern)?.test(value) === true ? null : `is not as it must be: ${description}`;
}

function wholeOf(pattern: string): RegExp | null {
  try {
    return new RegExp(`^(?:${pattern})$`, 'u');
  } catch {
    return null; // it is no pattern
  }
}

/** Of the API: a template as the release has it. */
export const templateViewSchema = z.object({
  ...templateSchema.shape,
  sha256: z.string(),
  /** `retired`: no release has it any more; servers that were made of it go on. */
  status: z.enum(['active', 'retired']),
  createdAt: z.string(),
  updatedAt: z.string(),
});
export type TemplateView = z.infer<typeof templateViewSchema>;
