import { restoredSaid } from '../../../core/backup/said.ts';
import { restoredSchema, type Restored, type RestoreBody } from '../../../core/backup/calls.ts';
import { readAnswer } from '../../net/views.ts';
import type { Context } from '../../who/context.ts';
import { startWaiting } from './progress.ts';
import type { ReadBackup } from './read-whole.ts';

/** One transaction over all of it: it takes as long as that takes, and no longer than anybody would wait. */
const WITHIN_MS = 15 * 60_000;

/**
 * @param timeout milliseconds for which a server that is away, or full, is asked again: what it has restored before is `unchanged` then.
 * @throws McpctlError as the server refuses it.
 */
export async function sendRestore(
  ctx: Context,
  { text, key }: Pick<ReadBackup, 'text' | 'key'>,
  { timeout, ...how }: Omit<RestoreBody, 'backup' | 'key'> & { timeout: number },
): Promise<Restored> {
  const http = await ctx.http({ patienceMs: timeout });
  const body = { ...how, backup: text, ...(key !== undefined && { key }) };
  const waited = startWaiting(ctx, 'the server restores');
  const call = {
    method: 'POST',
    path: '/api/v1/restore',
    body,
    limitMs: WITHIN_MS,
    isSameTwice: true,
  } as const;
  const answer = await http.json(call).finally(waited);
  return readAnswer(restoredSchema, answer, 'The server answers with something else than what it restored.');
}

/** @returns whether something was skipped. */
export function sayRestored(
  { out }: Pick<Context, 'out'>,
  restored: Restored,
  how: { enableUsers: boolean },
): boolean {
  const { lines, notes, hasSkipped } = restoredSaid(restored, how);
  for (const line of lines) out.line(line);
  for (const note of notes) out.note(note);
  return hasSkipped;
}
