import { distance } from 'fastest-levenshtein';

/** The known words closest to `word`, nearest first: for "did you mean". Far ones are left out. */
export function nearest(word: string, names: Iterable<string>, most = 3): string[] {
  const limit = Math.max(2, Math.floor(word.length / 3));
  const scored: { name: string; d: number }[] = [];
  for (const name of names) {
    const d = distance(word.toLowerCase(), name.toLowerCase());
    if (d <= limit || name.startsWith(word)) scored.push({ name, d });
  }
  return scored
    .sort((a, b) => a.d - b.d || a.name.localeCompare(b.name))
    .slice(0, most)
    .map((s) => s.name);
}

/** What a sentence ends with that says of a name that it is none; empty where nothing is near. */
export const didYouMean = (near: readonly string[]): string =>
  near.length > 0 ? ` Did you mean ${near.join(', ')}?` : '';
