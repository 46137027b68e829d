import { labelOf } from '../declared/kinds.ts';
import type { Restored } from './calls.ts';

const outcomeWords = {
  created: ['created', 'would be created'],
  changed: ['changed', 'would be changed'],
  unchanged: ['unchanged', 'unchanged'],
  skipped: ['skipped', 'would be skipped'],
  kept: ['kept as it is here', 'would be kept as it is here'],
} as const;

/**
 * What became of a backup, for a person: a line for each document, and what is to be known besides.
 * @param enableUsers as it was asked for.
 */
export function restoredSaid(
  { items, dryRun, genuine }: Restored,
  { enableUsers }: { enableUsers: boolean },
): {
  lines: string[];
  notes: string[];
  hasSkipped: boolean;
} {
  const lines: string[] = [];
  let named = 0;
  for (const item of items) {
    const { outcome, changed, why } = item;
    if (outcome === 'named') {
      named += 1;
      continue;
    }
    const fields = outcome === 'changed' ? `: ${changed.join(', ')}` : '';
    const becomes = outcomeWords[outcome][dryRun ? 1 : 0];
    lines.push(`${labelOf(item)} ${becomes}${why === undefined ? fields : `: ${why}`}`);
  }
  const notes: string[] = [];
  const made = items.filter(({ resource, outcome }) => resource === 'user' && outcome === 'created').length;
  if (made > 0 && !enableUsers)
    notes.push(
      `Users that are made (${made}) are disabled: "mcpctl edit user NAME" enables one, --enable-users those that were enabled.`,
    );
  if (named > 0)
    notes.push(
      `${named} tokens are named in the backup, and are not restored: make new ones with "mcpctl token create".`,
    );
  if (genuine === true) notes.push('A key of this installation says that the backup is as it was made.');
  if (genuine === false) notes.push('The backup was changed after it was made.');
  return { lines, notes, hasSkipped: items.some(({ outcome }) => outcome === 'skipped') };
}
