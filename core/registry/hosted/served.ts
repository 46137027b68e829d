import { z } from 'zod';
import { llmRowSchema } from '../../llm.ts';
import type { Connection } from '../database/connect.ts';
import { submissionOf, type Submission } from '../tasks/task-upkeep.ts';
import { MCP_TYPE } from '../../mcp/names.ts';
import { serverEnvSchema, runsSchema } from '../../mcp/hosted/source.ts';
import { healthCheckSchema, serverLimitsSchema } from '../../mcp/server-limits.ts';
import { readServedKeys, readServerKeys, type SealedKey } from './served-keys.ts';

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
const serverSchema = z.object({
  /** Of the llm that stands for it. */
  id: z.string(),
  name: z.string(),
  poolKey: z.string(),
  runs: runsSchema,
  env: serverEnvSchema,
  limits: serverLimitsSchema.nullable().transform((limits) => limits ?? serverLimitsSchema.parse({})),
  ownerId: z.string(),
  /** Null: as is usual. */
  healthCheck: healthCheckSchema.nullable().catch(null),
  /** Another text when a secret that it refers to has changed. */
  secretMark: z.string().nullable(),
});
/** An MCP server that a hosted worker runs or dials. */
export type HostedServer = z.infer<typeof serverSchema>;
export type ServedRow = z.infer<typeof rowSchema>;
const columns = Object.keys(rowSchema.shape);

/** All that a hosted worker reads, and by its own user of Postgres may read (grant-hosted.ts). It writes nothing. */
export interface Served {
  /** Another text when the public rows, or the secrets that they refer to, have changed. */
  mark(): Promise<string>;
  /** The public rows, but those that stand for MCP servers, by name; at most so many. */
  llms(most: number): Promise<ServedRow[]>;
  /** Those again in pools that they left, and have something left to do in; at most so many. */
  former(most: number): Promise<ServedRow[]>;
  keys(llmIds: readonly string[]): Promise<Map<string, SealedKey>>;
  /** The MCP servers, the first of each owner by name, then the second of each, and so on; at most so many. */
  servers(most: number): Promise<HostedServer[]>;
  /** What these refer to, by the id of the llm that stands for one and the place where it goes: `<id> env.TOKEN`. */
  serverKeys(llmIds: readonly string[]): Promise<Map<string, SealedKey>>;
  /** What was asked, of a task that has not ended in a pool with a public llm. */
  submissionOf(taskId: string): Promise<Submission | null>;
}

export function createServed(connection: Connection): Served {
  const { db } = connection;
  return {
    async mark() {
      const { rows } = await db.raw<{ rows: { mark: string | null }[] }>(
        `select md5(concat_ws('/',
           (select string_agg(concat_ws(' ', id, revision, secret_mark), ',' order by id) from hosted_llms),
           (select string_agg(concat_ws(' ', id, revision, secret_mark, pool_key), ',' order by id, pool_key) from hosted_former_llms),
           (select string_agg(concat_ws(' ', id, revision, secret_mark), ',' order by id) from hosted_servers))) as mark`,
      );
      return rows[0]?.mark ?? '';
    },
    llms: async (most) =>
      rowSchema
        .array()
        .parse(
          await db('hosted_llms').whereNot('type', MCP_TYPE).orderBy('name').limit(most).select(columns),
        ),
    former: async (most) =>
      rowSchema
        .array()
        .parse(await db('hosted_former_llms').orderBy(['name', 'poolKey']).limit(most).select(columns)),
    keys: (llmIds) => readServedKeys(db, llmIds),
    servers: async (most) =>
      serverSchema
        .array()
        .parse(
          await db('hosted_servers')
            .orderByRaw('row_number() over (partition by owner_id order by name), name')
            .limit(most)
            .select(Object.keys(serverSchema.shape)),
        ),
    serverKeys: (llmIds) => readServerKeys(db, llmIds),
    submissionOf: (taskId) => submissionOf(connection, { table: 'hosted_requests', id: taskId }),
  };
}
