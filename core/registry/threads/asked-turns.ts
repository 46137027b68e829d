import { z } from 'zod';
import type { Connection } from '../database/connect.ts';
import type { TurnComposition } from './accept-turn.ts';

const compositionSchema = z.object({
  leftOut: z.number(),
  contextLength: z.number().nullable(),
  expected: z.number().nullable().default(null),
});
const askedSchema = z.object({ request: z.string().nullable(), personality: z.string().nullable() });

export interface AskedTurns {
  /** How often a turn was asked, with results of tools, and how its request was made; null: it was not yet. */
  lastAsked(turnId: string): Promise<{
    rounds: number;
    composition: Pick<TurnComposition, 'leftOut' | 'contextLength' | 'expected'> | null;
  }>;
  /** Tasks of a turn, one for each of its rounds, in order. */
  tasksOfTurn(turnId: string): Promise<string[]>;
  /** What a turn was asked with, and as which personality; null: it was made elsewhere. */
  asked(turnId: string): Promise<{ request: string | null; personality: string | null }>;
}

/** What a turn was asked with, and how its request was made. */
export function createAskedReading({ db }: Connection): AskedTurns {
  return {
    async lastAsked(turnId) {
      const row = await db('chatTurns')
        .where({ id: turnId })
        .first<{ rounds: number; composition: unknown } | undefined>('rounds', 'composition');
      return {
        rounds: row?.rounds ?? 1,
        composition: compositionSchema.safeParse(row?.composition).data ?? null,
      };
    },
    async tasksOfTurn(turnId) {
      const rows = await db('chatMessages')
        .where({ turnId, role: 'assistant' })
        .whereNotNull('taskId')
        .orderBy('turnIndex')
        .select<{ taskId: string }[]>('taskId');
      return rows.map(({ taskId }) => taskId);
    },
    async asked(turnId) {
      const row: unknown = await db('chatTurns')
        .where({ id: turnId })
        .first('request', db.raw(`composition ->> 'personality' as personality`));
      return askedSchema.parse(row ?? { request: null, personality: null });
    },
  };
}
