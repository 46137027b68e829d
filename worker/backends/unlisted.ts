import { oneLine } from '../../core/runtime/plain.ts';

const MOST_NAMES = 5;
const LONGEST_NAME = 64;

/** The sentence of a model that a backend does not list; null when it does. Ollama lists what has no tag as the latest. */
export function saysUnlisted(model: string, ids: readonly string[]): string | null {
  if (ids.includes(model) || ids.includes(`${model}:latest`)) return null;
  const names = ids.slice(0, MOST_NAMES).map((id) => oneLine(id).slice(0, LONGEST_NAME));
  const more = ids.length > MOST_NAMES ? ` and ${ids.length - MOST_NAMES} more` : '';
  const lists = names.length === 0 ? 'it lists none' : `it lists ${names.join(', ')}${more}`;
  return `The backend no longer lists the model ${oneLine(model)}; ${lists}.`;
}
