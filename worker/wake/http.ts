import { Client } from 'undici';
import type { Recipe } from '../sources/config-schema.ts';

type HttpRecipe = Extract<Recipe, { type: 'http' }>;

/**
 * Makes the recipe's one call. Redirects are not followed: the headers may hold a key for that address alone.
 * @returns why it did not work; neither address nor headers nor what was answered are part of it.
 */
export async function callHttp(
  recipe: HttpRecipe,
  { kind, signal }: { kind: string; signal: AbortSignal },
): Promise<string | null> {
  const { body, type } = bodyOf(recipe);
  const headers = new Headers(recipe.headers);
  if (type !== null && !headers.has('content-type')) headers.set('content-type', type);
  const { origin, pathname, search } = new URL(recipe.url);
  const client = new Client(origin);
  try {
    const answer = await client.request({
      path: pathname + search,
      method: recipe.method,
      headers: Object.fromEntries(headers),
      body,
      signal,
      // The recipe's own limit counts: what is called may hold its answer until the backend is up.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    answer.body.on('error', () => undefined); // nobody reads it
    answer.body.destroy();
    const { statusCode: status } = answer;
    if (status >= 200 && status < 300) return null;
    const redirect = status >= 300 && status < 400 ? '; redirects are not followed' : '';
    return `The ${kind} call was answered with HTTP ${status}${redirect}.`;
  } catch (thrown) {
    return signal.aborted
      ? `The ${kind} call was not answered in time.`
      : `The ${kind} call failed (${codeOf(thrown)}).`;
  } finally {
    await client.destroy();
  }
}

/** A string goes as it is, anything else as JSON. */
function bodyOf({ body }: HttpRecipe): { body: string | null; type: string | null } {
  if (body === undefined) return { body: null, type: null };
  return typeof body === 'string'
    ? { body, type: 'text/plain;charset=utf-8' }
    : { body: JSON.stringify(body), type: 'application/json' };
}

/** The system's word for it, such as ECONNREFUSED; a message would name the address. */
function codeOf(thrown: unknown): string {
  const code = thrown instanceof Error ? (thrown as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' ? code : 'no connection';
}
