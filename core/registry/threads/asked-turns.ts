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
  /** How the request of a turn was made; null: it was not yet. */
  composition(
    turnId: string,
  ): Promise<Pick<TurnComposition, 'leftOut' | 'contextLength' | 'expected'> | null>;
  /** How often a turn was asked, with results of tools. */
  roundOf(turnId: string): Promise<number | undefined>;
  /** What a turn was asked with, and as which personality; null: it was made elsewhere. */
  asked(turnId: string): Promise<{ request: string | null; personality: string | null }>;
}

/** What a turn was asked with, and how its request was made. */
export function createAskedReading({ db }: Connection): AskedTurns {
  return {
    async composition(turnId) {
      const row = await db('chatTurns')
        .where({ id: turnId })
        .first<{ composition: unknown } | undefined>('composition');
      return compositionSchema.safeParse(row?.composition).data ?? null;
    },
    async roundOf(turnId) {
      const row = await db('chatTurns').where({ id: turnId }).first<{ rounds: number } | undefined>('rounds');
      return row?.rounds;
    },
    async asked(turnId) {
      const row: unknown = await db('chatTurns')
        .where({ id: turnId })
        .first('request', db.raw(`composition ->> 'personality' as personality`));
      return askedSchema.parse(row ?? { request: null, personality: null });
    },
  };
}
