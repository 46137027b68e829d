import type { GroupGuard } from '../children/guard.ts';
import type { Recipe } from '../sources/config-schema.ts';
import { type Environment, runCommand } from './command.ts';
import { callHttp } from './http.ts';

/** What carries a recipe out, beside the recipe. */
export interface RecipeDeps {
  /** What a command may see of the worker's environment. */
  environment: Environment;
  /** Ends the command when this worker is killed. */
  guard: GroupGuard;
}

/**
 * Carries a recipe out, once. It comes from this machine's own config.json; nothing that a server says becomes part
 * of it. @param kind names it in the sentence. @param signal aborts at the recipe's limit, and when the worker stops.
 * @returns why it did not work, as a sentence without address, header or body; null when it did.
 */
export async function carryOut(
  recipe: Recipe,
  { kind, signal, ...deps }: RecipeDeps & { kind: 'wake' | 'sleep'; signal: AbortSignal },
): Promise<string | null> {
  switch (recipe.type) {
    case 'http':
      return await callHttp(recipe, { kind, signal });
    case 'command':
      return await runCommand(recipe, { ...deps, kind, signal });
  }
}
