import { z } from 'zod';
import { presets } from './filter.ts';
import { textSchema } from '../names.ts';
import { joinPoolsSchema } from './join-code.ts';

/** `mcpctl login --web`: a program without a token shows a code, and whoever types it on the page gives it one of their own. */

/** No vowels, so that no code is a word, and nothing that is read as something else. */
const LETTERS = 'BCDFGHJKLMNPQRSTVWXZ';
const CODE_LETTERS = 8;

export const DEVICE = {
  lifeMs: 600_000,
  /** Between two questions; each that comes sooner adds as much. */
  intervalS: 5,
  mostIntervalS: 60,
  days: 30,
  preset: 'manage',
} as const;

/** A byte is a letter; those beyond the last whole round of letters would make some likelier, and are passed over. */
export function userCodeFrom(bytes: Iterable<number>): string | undefined {
  let code = '';
  const most = 256 - (256 % LETTERS.length);
  for (const byte of bytes) {
    if (byte < most) code += LETTERS.charAt(byte % LETTERS.length);
    if (code.length === CODE_LETTERS) return code;
  }
  return undefined;
}

/** `BCDF-GHJK`, as it is shown. */
export const spacedCode = (code: string): string => `${code.slice(0, 4)}-${code.slice(4)}`;

/** What somebody typed, as it is kept; undefined: no code can be so. */
export function typedCode(text: string): string | undefined {
  if (text.length > 64) return undefined;
  const code = text.toUpperCase().replace(/[\s-]/g, '');
  return new RegExp(`^[${LETTERS}]{${CODE_LETTERS}}$`).test(code) ? code : undefined;
}

/** `POST /api/v1/login/device` */
export const deviceBeginSchema = z.strictObject({
  /** What the machine calls itself; whoever approves is shown it. */
  machine: textSchema(64).min(1),
  preset: z.enum(presets).optional(),
  expiresInDays: z.int().min(1).max(90).optional(),
  /** A worker asks: its own credential is bound to these, publishes and serves in them, and ends with its session. */
  pools: joinPoolsSchema.optional(),
});

export const deviceBegunSchema = z.object({
  /** Proves who asked; it is shown to nobody. */
  deviceCode: z.string(),
  /** To be typed at `/admin/device`. */
  userCode: z.string(),
  /** Of the server's own URL. */
  verificationPath: z.string(),
  expiresInS: z.number(),
  /** Between two questions. */
  intervalS: z.number(),
});

/** `POST /api/v1/login/device/token` */
export const deviceAskSchema = z.strictObject({ deviceCode: z.string().regex(/^[\w-]{43}$/, 'is none') });

export const deviceWaitingSchema = z.object({ status: z.literal('pending'), intervalS: z.number() });
export const deviceTokenSchema = z.object({
  status: z.literal('approved'),
  /** Shown this once. */
  token: z.string(),
  user: z.string(),
  name: z.string(),
  preset: z.string(),
  /** What it is bound to; null: every pool. */
  pools: z.array(z.string()).nullable(),
  expiresAt: z.string().nullable(),
});
