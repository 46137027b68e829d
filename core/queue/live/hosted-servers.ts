import type { Redis } from 'ioredis';
import { z } from 'zod';
import { McpctlError } from '../../errors.ts';
import { orUnavailable } from '../link/connect.ts';
import type { Keys } from '../keys.ts';
import { mending } from '../mend.ts';
import { runScript } from '../scripts.ts';

/** What it says of its server stays so long after it was said last. */
const SAID_MS = 120_000;
/** Of one report; of a person's worker an edge takes no larger one. */
export const MOST_REPORT_BYTES = 4 * 1024 * 1024;

/** Why a hosted worker does not run a server that nobody runs. */
const lackSchema = z.enum(['full', 'owner_full', 'no_home']);
export type Lack = z.infer<typeof lackSchema>;
/** What a worker lacks stays so long after it was said last. */
const LACKED_MS = 15_000;

/** Hosted MCP servers, as their workers have them: they register nowhere, and write nothing to Postgres. */
export interface HostedServers {
  /** Takes or keeps the server of a pool. @returns whether it is this session's. @throws McpctlError `unavailable`. */
  hold(poolKey: string, session: string, ms: number): Promise<boolean>;
  /** Gives it up, if it is this session's. @throws McpctlError `unavailable`. */
  release(poolKey: string, session: string): Promise<void>;
  /** Says what a server has. @param mark another one where that has changed. @throws McpctlError `unavailable`. */
  tell(poolKey: string, what: { mark: string; report: string }): Promise<void>;
  /** Says why this worker does not run it. @throws McpctlError `unavailable`. */
  lack(poolKey: string, lack: Lack): Promise<void>;
  /** Why some worker does not run each; null: none has said. Of one that another runs it says nothing. @throws McpctlError `unavailable`. */
  lacks(poolKeys: readonly string[]): Promise<(Lack | null)[]>;
  /** What was said last of each, as its mark; null: nothing. @throws McpctlError `unavailable`. */
  marks(poolKeys: readonly string[]): Promise<(string | null)[]>;
  /** Null: nothing, or more than may be. @throws McpctlError `unavailable`. */
  report(poolKey: string): Promise<string | null>;
}

const textSchema = z.string().nullable().catch(null);

export function createHostedServers({ redis, keys }: { redis: Redis; keys: Keys }): HostedServers {
  const host = async (poolKey: string, session: string, ms: number): Promise<boolean> => {
    const call = { keys: [keys.pool(poolKey).host], args: [session, ms] };
    return (await orUnavailable(runScript(redis, 'host', call))) === 1;
  };
  return {
    hold: host,
    async release(poolKey, session) {
      await host(poolKey, session, 0);
    },
    async tell(poolKey, { mark, report }) {
      const { tells } = keys.pool(poolKey);
      await orUnavailable(
        mending(redis, [tells], async () => {
          await redis.hset(tells, { mark, report });
          await redis.pexpire(tells, SAID_MS);
        }),
      );
    },
    async lack(poolKey, lack) {
      const { lacks } = keys.pool(poolKey);
      await orUnavailable(mending(redis, [lacks], () => redis.set(lacks, lack, 'PX', LACKED_MS)));
    },
    async lacks(poolKeys) {
      if (poolKeys.length === 0) return [];
      const pipeline = redis.pipeline();
      for (const poolKey of poolKeys) pipeline.get(keys.pool(poolKey).lacks);
      const answers = (await orUnavailable(pipeline.exec())) ?? [];
      return poolKeys.map((_key, at) =>
        lackSchema
          .nullable()
          .catch(null)
          .parse(answers[at]?.[1] ?? null),
      );
    },
    async marks(poolKeys) {
      if (poolKeys.length === 0) return [];
      const pipeline = redis.pipeline();
      for (const poolKey of poolKeys) pipeline.hget(keys.pool(poolKey).tells, 'mark');
      const answers = (await orUnavailable(pipeline.exec())) ?? [];
      if (answers.length < poolKeys.length) throw new McpctlError('unavailable');
      // What somebody put in the place of one says nothing.
      return answers.map(([error, mark]) => (error ? null : textSchema.parse(mark)));
    },
    async report(poolKey) {
      const { tells } = keys.pool(poolKey);
      if (Number(await orUnavailable(redis.hstrlen(tells, 'report'))) > MOST_REPORT_BYTES) return null;
      return textSchema.parse(await orUnavailable(redis.hget(tells, 'report')));
    },
  };
}
