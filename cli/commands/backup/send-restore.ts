import { restoredSchema, type Restored, type RestoreBody } from '../../../core/backup/calls.ts';
import { readAnswer } from '../../net/views.ts';
import type { Context } from '../../who/context.ts';
import type { ReadBackup } from './read-whole.ts';

/** One transaction over all of it: it takes as long as that takes, and no longer than anybody would wait. */
const WITHIN_MS = 15 * 60_000;

/** @throws McpctlError as the server refuses it. */
export async function sendRestore(
  ctx: Context,
  { text, key }: Pick<ReadBackup, 'text' | 'key'>,
  how: Omit<RestoreBody, 'backup' | 'key'>,
): Promise<Restored> {
  const http = await ctx.http();
  const body = { ...how, backup: text, ...(key !== undefined && { key }) };
  const answer = await http.json({ method: 'POST', path: '/api/v1/restore', body, limitMs: WITHIN_MS });
  return readAnswer(restoredSchema, answer, 'The server answers with something else than what it restored.');
}

const outcomeWords = {
  created: ['created', 'would be created'],
  changed: ['changed', 'would be changed'],
  unchanged: ['unchanged', 'unchanged'],
  skipped: ['skipped', 'would be skipped'],
  kept: ['kept as it is here', 'would be kept as it is here'],
} as const;

/** @returns whether something was skipped. */
export function sayRestored({ out }: Pick<Context, 'out'>, { items, dryRun, genuine }: Restored): boolean {
  let named = 0;
  for (const { resource, name, outcome, changed, why } of items) {
    if (outcome === 'named') named += 1;
    else {
      const fields = outcome === 'changed' ? `: ${changed.join(', ')}` : '';
      out.line(
        `${resource}/${name} ${outcomeWords[outcome][dryRun ? 1 : 0]}${why === undefined ? fields : `: ${why}`}`,
      );
    }
  }
  if (named > 0)
    out.note(
      `${named} tokens are named in the backup, and are not restored: make new ones with "mcpctl token create".`,
    );
  if (genuine === true) out.note('A key of this installation says that the backup is as it was made.');
  if (genuine === false) out.note('The backup was changed after it was made.');
  return items.some(({ outcome }) => outcome === 'skipped');
}
