import type { Knex } from 'knex';
import { storableSentence, storableWord } from '../../text/storable.ts';

/** A turn that is open, and that nobody answers: it waits in line, or for results of tools. */
export interface UnaskedTurn {
  id: string;
  status: 'queued' | 'waiting';
}

/** Ends one that was cancelled, or can not be asked any more, or that another makes up for. @returns false when it is so no more. */
export async function endUnasked(
  db: Knex,
  { id, status: from }: UnaskedTurn,
  {
    status,
    code = null,
    message = null,
  }: { status: 'completed' | 'cancelled' | 'error'; code?: string | null; message?: string | null },
): Promise<boolean> {
  const ended = await db('chatTurns')
    .where({ id, status: from })
    .update({
      ...{ status, toolDeadline: null, endedAt: db.fn.now() },
      errorCode: code === null ? null : storableWord(code),
      errorMessage: message === null ? null : storableSentence(message),
    });
  return ended === 1;
}
