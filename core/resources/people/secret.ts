import { z } from 'zod';
import { nameSchema, textSchema } from '../../names.ts';
import { defineResource, optional, ownership, required, shown } from '../define.ts';

const MOST_KEYS = 64;
const MOST_VALUE_BYTES = 65_536;
/** Of all values of one secret together. */
export const MOST_SECRET_BYTES = 262_144;
const MOST_ORIGINS = 32;

const KEY_IS = 'a key is 1 to 128 of A-Z a-z 0-9 . _ -, and begins with a letter, a digit or _';

/** What names a value in a secret, like a variable of an environment, or a file. */
const secretKeySchema = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/, KEY_IS);

/** What stands for a value wherever a secret is shown; who writes it back keeps that value. */
export const maskedSchema = z.strictObject({
  masked: z.literal(true),
  bytes: z.int().min(0),
  version: z.int().min(0),
});
export type Masked = z.infer<typeof maskedSchema>;

/** None of these says the value: it may be a secret that was written in the wrong way. */
const valueSchema = z.string({ error: 'must be a text: put it in quotes' }).superRefine((value, context) => {
  const refuse = (message: string): void => context.addIssue({ code: 'custom', message });
  if (/^\*+$/.test(value))
    refuse('is a mask of asterisks, and no value; leave it as { masked: true, … } to keep what is there');
  else if (!value.isWellFormed() || value.includes('\0')) refuse('must not contain NUL or lone surrogates');
  else if (Buffer.byteLength(value) > MOST_VALUE_BYTES) refuse(`must be at most ${MOST_VALUE_BYTES} bytes`);
});

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;

/** By its kind, so that of a wrong one is said what is wrong with it, and none of its words. */
const itemSchema = z.unknown().transform((value, context): string | Masked => {
  const parsed = (isObject(value) ? maskedSchema : valueSchema).safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const message = isObject(value) ? 'must be a text, or { masked: true, bytes, version }' : issue?.message;
  context.addIssue({ code: 'custom', message: message ?? 'must be a text' });
  return z.NEVER;
});

export const bytesOf = (items: Readonly<Record<string, string | Masked>>): number =>
  Object.values(items).reduce(
    (sum, item) => sum + (typeof item === 'string' ? Buffer.byteLength(item) : item.bytes),
    0,
  );

export const tooLarge = `the values of a secret are at most ${MOST_SECRET_BYTES} bytes together`;

const isKey = (key: string): boolean => secretKeySchema.safeParse(key).success;

export const secretDataSchema = z
  .record(z.string(), itemSchema)
  .refine((data) => Object.keys(data).every(isKey), KEY_IS)
  .refine((data) => Object.keys(data).length <= MOST_KEYS, `a secret has at most ${MOST_KEYS} keys`)
  .refine((data) => bytesOf(data) <= MOST_SECRET_BYTES, tooLarge)
  .meta({
    description:
      'Values by their keys, or what stands for one that is kept: { masked: true, bytes, version }',
  });
export type SecretData = z.infer<typeof secretDataSchema>;

/** As a URL has it: scheme, host in small letters, and the port where it is not the usual one. */
const originSchema = z
  .string()
  .max(300)
  .refine(
    (text) => /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text,
    'must be an origin like https://api.openai.com: no path, no slash at the end, no port that is the usual one',
  );

const keySizeSchema = z.object({ name: z.string(), bytes: z.number() });
export const keySizesSchema = z.array(keySizeSchema);

export const secret = defineResource({
  word: 'secret',
  plural: 'secrets',
  short: ['sec'],
  about: 'named values that are kept encrypted, and used without being shown',
  key: 'name',
  fields: {
    name: required(nameSchema),
    description: optional(textSchema(2_000), ''),
    allowedOrigins: optional(z.array(originSchema).max(MOST_ORIGINS), [], {
      json: true,
      item: { flag: 'allowed-origin', parts: [] },
    }),
    data: optional(secretDataSchema, {}, { secret: true, sealed: true }),
  },
  server: {
    version: z.number(),
    keys: keySizesSchema,
    origin: z.string().nullable(),
  },
  derived: {
    data: z.record(z.string(), maskedSchema),
    usedBy: z.array(z.object({ resource: z.string(), name: z.string(), key: z.string() })),
  },
  filters: [],
  may: {},
  quota: { user: 100, all: 1_000 },
  missing: 'secret_not_found',
  columns: [
    shown('NAME', 'name'),
    shown('KEYS', 'keys.name', { as: 'list' }),
    shown('VERSION', 'version'),
    shown('USED BY', 'usedBy.name', { as: 'list' }),
    shown('ORIGINS', 'allowedOrigins', { as: 'list', wide: true }),
    shown('UPDATED', 'updatedAt', { as: 'ago' }),
    shown('DESCRIPTION', 'description', { spare: true }),
    shown('ID', 'id', { wide: true }),
  ],
  describe: [
    shown('Name', 'name'),
    shown('Description', 'description'),
    shown('Version', 'version'),
    shown('Keys', 'keys.name', { as: 'list' }),
    shown('Allowed origins', 'allowedOrigins', { as: 'list' }),
    shown('First origin', 'origin'),
    shown('Used by', 'usedBy.name', { as: 'list' }),
    ...ownership,
  ],
  backup: 'with',
  example: { name: 'openai', data: { OPENAI_KEY: 'sk-example-0123456789' } },
});

/** Body of `POST /api/v1/secrets/<name>/reveal`. */
export const revealSchema = z.strictObject({});
export const revealedSchema = z.object({ version: z.number(), data: z.record(z.string(), z.string()) });

/** Body of `POST /api/v1/secrets/<name>/rollback`. */
export const rollbackSchema = z.strictObject({
  /** The version whose values are to be the current ones; the one before the current, unless told. */
  to: z.int().min(1).optional(),
});

export const secretVersionSchema = z.object({
  version: z.number(),
  current: z.boolean(),
  keys: keySizesSchema,
  /** Which key of the keyring wraps it. */
  kid: z.string(),
  /** Who wrote it; empty where they are no more. */
  createdBy: z.string(),
  createdAt: z.string(),
});

/** `GET /api/v1/keyring`: under which keys secrets are kept. */
export const keyringViewSchema = z.object({
  items: z.array(
    z.object({
      kid: z.string(),
      /** Whether this edge seals with it, or has it to open with, or lacks it. */
      state: z.enum(['active', 'held', 'missing']),
      /** How many versions of secrets are kept under it; a key with none is needed no more. */
      versions: z.number(),
    }),
  ),
});
