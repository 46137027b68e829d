import type { Knex } from 'knex';
import { storableSentence, storableWord } from '../../text/storable.ts';

/** Ends a turn that waits for results. @returns false when it does so no more. */
export async function endWaiting(
  db: Knex,
  id: string,
  {
    status,
    code = null,
    message = null,
  }: { status: 'completed' | 'cancelled' | 'error'; code?: string | null; message?: string | null },
): Promise<boolean> {
  const ended = await db('chatTurns')
    .where({ id, status: 'waiting' })
    .update({
      ...{ status, toolDeadline: null, endedAt: db.fn.now() },
      errorCode: code === null ? null : storableWord(code),
      errorMessage: message === null ? null : storableSentence(message),
    });
  return ended === 1;
}
