import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { z } from 'zod';
import { messageOf } from '../../errors.ts';
import { readPlainFile } from '../files/plain-file.ts';

/** The kinds of values that settings have. What a kind says of a wrong value is what to write instead. */

const LONGEST_TIMER_MS = 2_147_483_647;

/** A whole number within bounds, in digits. */
export function whole(least: number, most: number) {
  return z.string().transform((text, context) => {
    const value = /^\s*\d+\s*$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    context.addIssue({ code: 'custom', message: `use a whole number from ${least} to ${most}` });
    return z.NEVER;
  });
}

export const ms = (fallback: number, least = 1) => whole(least, LONGEST_TIMER_MS).default(fallback);
export const count = (fallback: number) => whole(1, Number.MAX_SAFE_INTEGER).default(fallback);

export const list = z
  .string()
  .default('')
  .transform((v) =>
    v
      .split(',')
      .map((s) => s.trim())
      .filter(Boolean),
  );

/** Of each kind of thing how many one user may have, and how many there may be. */
export const quotas = list.refine((entries) => entries.every((entry) => quotaEntry.test(entry)), {
  error: 'use entries like prompt=500/20000,project=100/5000',
});
const quotaEntry = /^[a-z]+=\d{1,9}\/\d{1,9}$/;

export const flag = (fallback: boolean) =>
  z
    .enum(['0', '1', 'true', 'false'], { error: 'use 0 or 1' })
    .default(fallback ? '1' : '0')
    .transform((v) => v === '1' || v === 'true');

export function oneOf<const T extends readonly [string, ...string[]]>(words: T) {
  return z.enum(words, { error: `use one of: ${words.filter((word) => word !== '').join(', ')}` });
}

/** What is wrong of it is `error`. */
export const textLike = (pattern: RegExp, error: string) => z.string().regex(pattern, error);

/** A URL is not repeated in a fault: it may hold a password. */
export const urlLike = (protocol: RegExp, example: string) =>
  z.url({ protocol, error: `use a URL like ${example}` });

/** As a browser writes it: scheme, host and port, no path and no default port. `null` is that of local files. */
export function isOrigin(text: string): boolean {
  if (text === '*' || text === 'null') return true;
  if (/^https?:/i.test(text)) return URL.canParse(text) && new URL(text).origin === text;
  return /^[a-z][a-z0-9+.-]*:\/\/[\w.-]+$/.test(text); // chrome-extension://…
}

/** A variable's name, or where a file is. */
export const isKeyPlace = (text: string): boolean => /^([A-Za-z_][A-Za-z0-9_]*|\/.*)$/.test(text);

/** `10.0.0.0/8`, or one address. */
export function isNetwork(text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/');
  const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  if (more.length > 0 || bits === -1 || address.includes('%')) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits);
}

/**
 * Certificate authorities: PEM text as platforms put it into a variable (also in one line, with `\n` for line ends), or
 * the path of a file with it.
 */
export const authorities = z
  .string()
  .transform((text, context) => {
    try {
      const pem = text.trimStart().startsWith('-----BEGIN')
        ? text.replaceAll('\\n', '\n')
        : readPlainFile(text);
      void new X509Certificate(pem);
      return pem;
    } catch (thrown) {
      const why = (thrown as NodeJS.ErrnoException).syscall ? `: ${messageOf(thrown)}` : '';
      const message = `use certificates in PEM form, or the path of a file with them; this cannot be read${why}`;
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    }
  })
  .optional();

/** Of a token that a person chose. */
export const tokenText = z
  .string()
  .trim()
  .regex(
    /^[\x21-\x7e]{32,}$/,
    'use 32 or more printable characters without spaces, as from: openssl rand -hex 32',
  );
