import type { Knex } from 'knex';
import { z } from 'zod';
import { madeSchema } from '../../agent/made.ts';
import { orNothing, wordOr } from '../../newer-words.ts';
import { usageSchema } from '../../task/task.ts';
import type { Connection } from '../database/connect.ts';
import type { TurnComposition } from './accept-turn.ts';

const compositionSchema = z.object({
  leftOut: z.number(),
  contextLength: z.number().nullable(),
  expected: z.number().nullable().default(null),
});
const askedSchema = z.object({
  request: z.string().nullable(),
  personality: z.string().nullable(),
  system: z.string().nullable(),
  isWhole: z.boolean().nullable(),
});
export type AskedAgain = z.infer<typeof askedSchema>;

/** One answer of a turn: each of its rounds has one, and each further try. */
const turnAnswerSchema = z.object({
  taskId: z.string().nullable(),
  turnIndex: z.number(),
  status: wordOr(['pending', 'complete', 'error', 'cancelled'], 'error'),
  servedBy: z.string().nullable(),
  usage: orNothing(usageSchema),
  finishReason: z.string().nullable(),
  /** Null: of a release that did not keep it, or not written as it is now. */
  made: orNothing(madeSchema),
});
export type TurnAnswerRow = z.infer<typeof turnAnswerSchema>;

export interface AskedTurns {
  /** How often a turn was asked, with results of tools, and how its request was made; null: it was not yet. */
  lastAsked(turnId: string): Promise<{
    rounds: number;
    /** What it calls the server may run. */
    usesServerTools: boolean;
    composition: Pick<TurnComposition, 'leftOut' | 'contextLength' | 'expected'> | null;
  }>;
  /** Tasks of a turn, one for each of its rounds, in order. */
  tasksOfTurn(turnId: string): Promise<string[]>;
  /** What a turn was asked with, and how; a request of null: it was made elsewhere. */
  asked(turnId: string): Promise<AskedAgain>;
  /** What a turn has said before that task, round by round. @param since behind that one; null: from its first on. */
  saidBefore(turnId: string, taskId: string, since: string | null): Promise<string[]>;
  /** In order. */
  answersOf(turnId: string): Promise<TurnAnswerRow[]>;
  /** The turn that tries this one again, by its number; null: none does. */
  triedAgainBy(turnId: string): Promise<number | null>;
  /** A turn's number; null: it is there no more. */
  numberOf(turnId: string): Promise<number | null>;
  /**
   * Whether a turn goes on behind that task: it has failed, and is asked with less of what was said before it; or what it has called the
   * server runs, and nothing of it the client, and be it that the turn has ended over that.
   */
  goesOnBehind(turnId: string, taskId: string): Promise<boolean>;
}

/** How often a turn was asked, and how its request was made. */
async function lastAsked(db: Knex, turnId: string): ReturnType<AskedTurns['lastAsked']> {
  const row = await db('chatTurns')
    .where({ id: turnId })
    .first<{ rounds: number; composition: unknown; serverCalls: unknown } | undefined>(
      'rounds',
      'composition',
      'serverCalls',
    );
  return {
    rounds: row?.rounds ?? 1,
    usesServerTools: row?.serverCalls != null,
    composition: compositionSchema.safeParse(row?.composition).data ?? null,
  };
}

async function saidBefore(
  db: Knex,
  { turnId, taskId, since }: { turnId: string; taskId: string; since: string | null },
): Promise<string[]> {
  const rows = await db('chatMessages')
    .where({ turnId, role: 'assistant', status: 'complete' })
    .whereNot({ taskId })
    .orderBy('turnIndex')
    .select<{ taskId: string; content: string }[]>('taskId', 'content');
  const first = since === null ? 0 : rows.findIndex((row) => row.taskId === since) + 1;
  return rows.slice(first).map(({ content }) => content);
}

/** What a turn was asked with, and how its request was made. */
export function createAskedReading({ db }: Connection): AskedTurns {
  return {
    lastAsked: (turnId) => lastAsked(db, turnId),
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
        .first(
          'request',
          db.raw(`composition ->> 'personality' as personality, composition ->> 'system' as system,
            (composition ->> 'isWhole')::boolean as is_whole`),
        );
      return askedSchema.parse(row ?? { request: null, personality: null, system: null, isWhole: null });
    },
    async answersOf(turnId) {
      const rows: unknown = await db('chatMessages')
        .where({ turnId, role: 'assistant' })
        .orderBy('turnIndex')
        .select('taskId', 'turnIndex', 'status', 'servedBy', 'usage', 'finishReason', 'made');
      return z.array(turnAnswerSchema).parse(rows);
    },
    saidBefore: (turnId, taskId, since) => saidBefore(db, { turnId, taskId, since }),
    async triedAgainBy(turnId) {
      const { rows } = await db.raw<{ rows: { n: number }[] }>(
        `select again.n from chat_turns turn join chat_turns again on again.thread_id = turn.thread_id
           and again.n > turn.n and again.supersedes = turn.id where turn.id = ? order by again.n limit 1`,
        [turnId],
      );
      return rows[0]?.n ?? null;
    },
    async numberOf(turnId) {
      const row = await db('chatTurns').where({ id: turnId }).first<{ n: number } | undefined>('n');
      return row?.n ?? null;
    },
    async goesOnBehind(turnId, taskId) {
      const { rows } = await db.raw<{ rows: unknown[] }>(
        `select 1 from chat_turns where id = :turnId and (
           (shrink in ('must', 'done') and (task_id <> :taskId or (status = 'waiting' and shrink = 'must')))
           or (server_calls is not null and (task_id <> :taskId or (not asks_client
             and (status = 'waiting' or (status in ('error', 'cancelled') and server_calls <> 'may'))))))`,
        { turnId, taskId },
      );
      return rows.length > 0;
    },
  };
}
