import { z } from 'zod';
import { nameSchema, textSchema } from '../names.ts';
import type { FilterWords } from './filter.ts';

/** `mcpctl worker invite`: a code that one machine exchanges, once, for a credential of its own that publishes and serves. */

/** Crockford's: nothing is read as something else. */
const LETTERS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const CODE_LETTERS = 12;

export const JOIN = {
  lifeMs: 600_000,
  /** Of one user, that are good at one time. */
  mostOpen: 20,
  /** So long it is said of one that it was used, or is over, and when. */
  keptMs: 24 * 60 * 60 * 1_000,
} as const;

/** What a worker's credential lets through: it publishes and serves, and calls nothing. */
export const workerFilter: FilterWords = { preset: 'publish', bindings: [], operations: [] };

/** Sixty bits. @param bytes at least twelve, random */
export const joinCodeFrom = (bytes: Iterable<number>): string =>
  [...bytes]
    .slice(0, CODE_LETTERS)
    .map((byte) => LETTERS.charAt(byte % LETTERS.length))
    .join('');

/** `7F3K-Q2ZD-M8RT`, as it is shown. */
export const spacedJoinCode = (code: string): string => code.replace(/(.{4})(?=.)/g, '$1-');

/** What somebody typed or pasted, as it is kept; undefined: no code can be so. */
export function typedJoinCode(text: string): string | undefined {
  if (text.length > 64) return undefined;
  const code = text.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
  return code.length === CODE_LETTERS && [...code].every((letter) => LETTERS.includes(letter))
    ? code
    : undefined;
}

/** What a machine calls itself; whoever approves it is shown it. */
const machineSchema = textSchema(64).min(1);

/** Pools that a worker's credential is bound to, each once. */
export const joinPoolsSchema = z
  .array(nameSchema)
  .min(1, 'name a pool')
  .max(20)
  .refine((pools) => new Set(pools).size === pools.length, 'names a pool twice');

/** `POST /api/v1/join-codes` */
export const joinCodeSchema = z.strictObject({
  pools: joinPoolsSchema,
  /** How the worker is to be called; its machine's own name unless told. */
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'the name of a worker is 1 to 63 of a-z 0-9 . _ -')
    .optional(),
  /** Whose the worker is to be: another user, for who may make tokens for them. */
  user: z.string().min(1).max(63).optional(),
});

export const joinCodeViewSchema = z.object({
  /** Shown this once. */
  code: z.string(),
  pools: z.array(z.string()),
  name: z.string().nullable(),
  user: z.string(),
  expiresAt: z.string(),
  /** What is pasted at the machine that joins. */
  command: z.string(),
  /** When the credential ends by itself, with the token that made the code; null: never. */
  credentialEndsAt: z.string().nullable(),
});
export type JoinCodeView = z.infer<typeof joinCodeViewSchema>;

/** Codes that are listed at one time: those that are good, and those that are over for less than a day. */
export const MOST_LISTED_CODES = 200;

/** What is to be seen of a code that was made: never the code itself. */
export const madeJoinCodeSchema = z.object({
  /** By which it is withdrawn. */
  id: z.string(),
  state: z.enum(['good', 'used', 'over']),
  pools: z.array(z.string()),
  name: z.string().nullable(),
  /** Whose the worker is to be, and who invites it. */
  user: z.string(),
  madeBy: z.string(),
  createdAt: z.string(),
  expiresAt: z.string(),
  usedAt: z.string().nullable(),
  /** What the machine calls itself that came with it. */
  usedBy: z.string().nullable(),
});

/** `GET /api/v1/join-codes`: newest first. */
export const madeJoinCodesSchema = z.object({ items: z.array(madeJoinCodeSchema) });

/** The first twelve hex digits of a code's SHA-256: nobody finds the other sixty bits by it in ten minutes. */
export const joinCodeIdSchema = z.string().regex(/^[0-9a-f]{12}$/);

/** `POST /api/v1/join` */
export const joinSchema = z.strictObject({ code: z.string().min(1).max(64), machine: machineSchema });

export const joinedSchema = z.object({
  /** Shown this once. */
  token: z.string(),
  user: z.string(),
  /** Of the credential. */
  name: z.string(),
  /** What the worker is to call its machine, as who invites it has said; null: as that calls itself. */
  host: z.string().nullable(),
  pools: z.array(z.string()),
  expiresAt: z.string().nullable(),
});

/** `POST /api/v1/leave` */
export const leftSchema = z.object({
  user: z.string(),
  name: z.string(),
  /** Whose rows are deleted. */
  llms: z.array(z.string()),
  /** Whose rows stay, as agents are pinned to them: nobody serves them. */
  kept: z.array(z.string()),
});

/** `POST /api/v1/join-requests`: what waits behind a code that a machine shows, and, with an answer, what comes of it. */
export const joinRequestSchema = z.strictObject({
  code: z.string().min(1).max(64),
  answer: z.enum(['approve', 'deny']).optional(),
});

export const joinRequestViewSchema = z.object({
  machine: z.string(),
  address: z.string(),
  pools: z.array(z.string()),
  status: z.enum(['waiting', 'approved', 'denied']),
});
