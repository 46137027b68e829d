import { z } from 'zod';
import { llmRowSchema } from '../../llm.ts';
import type { Connection } from '../database/connect.ts';
import { submissionOf, type Submission } from '../tasks/task-upkeep.ts';
import { readServedKeys, type SealedKey } from './served-keys.ts';

const rowSchema = llmRowSchema
  .pick({
    id: true,
    name: true,
    poolKey: true,
    type: true,
    model: true,
    apiKeyRef: true,
    maxConcurrency: true,
  })
  .extend({ revision: z.number(), url: z.string().nullable() });
export type ServedRow = z.infer<typeof rowSchema>;
const columns = Object.keys(rowSchema.shape);

/** All that a hosted worker reads, and by its own user of Postgres may read (grant-hosted.ts). It writes nothing. */
export interface Served {
  /** Another text when the public rows, or the secrets that they refer to, have changed. */
  mark(): Promise<string>;
  /** The public rows, by name; at most so many. */
  llms(most: number): Promise<ServedRow[]>;
  keys(llmIds: readonly string[]): Promise<Map<string, SealedKey>>;
  /** What was asked, of a task that has not ended in a pool with a public llm. */
  submissionOf(taskId: string): Promise<Submission | null>;
}

export function createServed(connection: Connection): Served {
  const { db } = connection;
  return {
    async mark() {
      const { rows } = await db.raw<{ rows: { mark: string | null }[] }>(
        `select md5(string_agg(concat_ws(' ', id, revision, secret_mark), ',' order by id)) as mark from hosted_llms`,
      );
      return rows[0]?.mark ?? '';
    },
    llms: async (most) =>
      rowSchema.array().parse(await db('hosted_llms').orderBy('name').limit(most).select(columns)),
    keys: (llmIds) => readServedKeys(db, llmIds),
    submissionOf: (taskId) => submissionOf(connection, { table: 'hosted_requests', id: taskId }),
  };
}
