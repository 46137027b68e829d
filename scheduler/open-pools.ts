import type { Registry } from '../core/registry/registry.ts';

/** Does something for each pool with a task that has not ended. @returns how many things it changed. */
export async function forOpenPools(
  { tasks }: Pick<Registry, 'tasks'>,
  signal: AbortSignal,
  each: (poolKey: string) => Promise<number>,
): Promise<number> {
  let did = 0;
  for (const poolKey of await tasks.openPools()) {
    if (signal.aborted) break;
    did += await each(poolKey);
  }
  return did;
}
