import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import type { Target } from '../load/job.ts';
import type { Product } from './product.ts';

const WITHIN_MS = 10_000;
const tokenSchema = z.object({ token: z.string() });

/** Where tasks are submitted, by the bench itself or by another user. */
export function submitsTo({ url, token }: Pick<Product, 'url' | 'token'>): Target {
  return { url: `${url}/api/v1/tasks`, headers: { authorization: `Bearer ${token}` } };
}

/** The body of a submit: a call as its text, for that llm. */
export function submitOf(llm: string, call: string): string {
  return `{"llm":${JSON.stringify(llm)},"request":${call}}`;
}

/** The token of a user of that name, made for it. */
export async function tokenOf({ url, token }: Product, user: string): Promise<string> {
  const answer = await fetch(`${url}/api/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: `bench-${user}`, user }),
    signal: AbortSignal.timeout(WITHIN_MS),
  });
  const text = await answer.text();
  if (answer.status !== 201) throw new McpctlError('bad_answer', `A token was refused: ${text}`);
  return tokenSchema.parse(JSON.parse(text)).token;
}
