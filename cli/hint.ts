import { McpctlError } from '../core/errors.ts';
import { nearest } from '../core/runtime/nearest.ts';
import type { Client } from './net/client.ts';

/**
 * Does `work` on something named; where the server does not know it, the error names what is near, of the same type
 * or of another: people ask for a pool where an llm was meant.
 */
export async function hinted<T>(
  client: Client,
  { type, name }: { type: string; name: string },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (!(thrown instanceof McpctlError) || thrown.code !== `${type}_not_found`) throw thrown;
    if (type !== 'llm' && type !== 'pool') throw thrown;
    const hint = await hintFor(client, { type, name });
    // Newer servers name what is near themselves.
    const isHinted = hint.startsWith('Did you mean') && thrown.message.includes('Did you mean');
    throw hint === '' || isHinted
      ? thrown
      : new McpctlError(thrown.code, `${thrown.message} ${hint}`, { cause: thrown });
  }
}

/** Empty when nothing is near, or the server does not say: the first error counts. */
async function hintFor(
  client: Client,
  { type, name }: { type: 'llm' | 'pool'; name: string },
): Promise<string> {
  try {
    const [llms, pools] = await Promise.all([client.llms.list({}), client.pools.list()]);
    const names = {
      llm: llms.flatMap((llm) => [llm.key, ...(llm.view.aliases ?? [])]),
      pool: pools.map((pool) => pool.key),
    };
    const other = type === 'llm' ? 'pool' : 'llm';
    if (names[other].includes(name)) return `There is a ${other} of that name: ${other}/${name}.`;
    const near = nearest(name, names[type], 3);
    return near.length > 0 ? `Did you mean ${near.join(' or ')}?` : '';
  } catch (thrown) {
    if (thrown instanceof McpctlError) return '';
    throw thrown;
  }
}
