import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

/** What a session's id says of itself: nothing of a session is kept anywhere. */
const sessionSchema = z.object({
  /** The project's id. */
  p: z.string(),
  /** The token's id. */
  t: z.string(),
  /** The revision of the protocol that was agreed on. */
  e: z.string(),
  /** When it was given out, in seconds. */
  i: z.number(),
  n: z.string(),
  /** What the client calls itself; sessions of a release before do not say it. */
  c: z.string().max(64).optional(),
});
export type McpSession = z.infer<typeof sessionSchema>;

const FORM = /^v1\.([A-Za-z0-9_-]{1,512})\.([A-Za-z0-9_-]{43})$/;
const LIFE_S = 24 * 3_600;

const signature = (text: string, key: string): string =>
  createHmac('sha256', key).update(text).digest('base64url');

/** An id for one caller and project, which any edge can verify without asking anybody. */
export function signSession(
  session: Pick<McpSession, 'p' | 't' | 'e' | 'c'>,
  key: string,
  nowMs: number,
): string {
  const content = { ...session, i: Math.floor(nowMs / 1_000), n: randomBytes(9).toString('base64url') };
  const text = Buffer.from(JSON.stringify(content)).toString('base64url');
  return `v1.${text}.${signature(text, key)}`;
}

/** What an id says, where we gave it out and not more than a day ago; null: it is as if there were none. */
export function readSessionId(id: string, key: string, nowMs: number): McpSession | null {
  const [, text = '', signed = ''] = FORM.exec(id) ?? [];
  if (text === '' || !timingSafeEqual(Buffer.from(signed), Buffer.from(signature(text, key)))) return null;
  const parsed = sessionSchema.safeParse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')));
  if (!parsed.success) return null;
  const ageS = nowMs / 1_000 - parsed.data.i;
  return ageS < LIFE_S && ageS > -LIFE_S ? parsed.data : null;
}
