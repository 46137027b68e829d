import { aliasSchema } from '../../core/names.ts';
import type { EdgeDeps } from '../deps.ts';

const LATEST = ':latest';

/** Ollama's clients add `:latest` to a name without a tag: what has no such name is meant without it. */
export async function nameOf({ knownPools }: Pick<EdgeDeps, 'knownPools'>, asked: string): Promise<string> {
  if (!asked.endsWith(LATEST) || !aliasSchema.safeParse(asked).success) return asked;
  const pool = (await knownPools.recall(asked)) ?? (await knownPools.ask(asked));
  return pool ? asked : asked.slice(0, -LATEST.length);
}
