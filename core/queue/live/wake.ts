import type { Redis } from 'ioredis';
import { z } from 'zod';
import { McpctlError, messageOf } from '../../errors.ts';
import { wordOr } from '../../newer-words.ts';
import { pause, type Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { wakeReason, type WakeResult } from '../../member/wake.ts';
import { orUnavailable } from '../link/connect.ts';
import { mendAfter } from '../mend.ts';
import type { Keys } from '../keys.ts';
import { timeOf } from './redis-time.ts';
import { runScript } from '../scripts.ts';
import { isForeign } from '../trouble.ts';

/** What is known of an llm's wake. All ages are by Redis's clock. */
export interface WakeState {
  /** Somebody wakes it now; `sinceMs` ago that began. */
  waking: { sinceMs: number } | null;
  /** The last failure, while it is remembered; `at` tells one failure from another. */
  failed: { reason: string; at: number; ageMs: number } | null;
}

/** Who wakes what (`wake:{L}`). Callers say who they are by a text that no other process has: their boot. */
export interface Wakes {
  /** Takes the llm to wake it, or renews that; lives 5 s. @returns false while somebody else wakes it. */
  hold(llmId: string, by: string, forMs: number): Promise<boolean>;
  /** It did not work: every waiting caller may read why, for 10 s. */
  fail(llmId: string, by: string, reason: string): Promise<void>;
  /** It serves again, or nobody knows: the llm is free to be woken. */
  over(llmId: string, by: string): Promise<void>;
  /** In the order of the ids. @throws McpctlError `unavailable`. */
  read(llmIds: readonly string[]): Promise<WakeState[]>;
}

const LEASE_MS = 5_000;
const FAILED_MS = 10_000;
const RENEW_MS = 1_500;

const valueSchema = z.object({
  phase: wordOr(['waking', 'failed'], 'failed'),
  since: z.number().optional(),
  failed: z.object({ reason: z.string(), at: z.number() }).optional(),
});

export function createWakes({ redis, keys }: { redis: Redis; keys: Keys }): Wakes {
  const run = (llmId: string, args: (string | number)[]): Promise<unknown> =>
    orUnavailable(runScript(redis, 'wake', { keys: [keys.wake(llmId)], args }));
  return {
    hold: async (llmId, by, forMs) =>
      (await run(llmId, ['hold', by, LEASE_MS, Math.max(0, Math.round(forMs))])) === 1,
    async fail(llmId, by, reason) {
      await run(llmId, ['fail', by, FAILED_MS, wakeReason(reason)]);
    },
    async over(llmId, by) {
      await run(llmId, ['over', by, LEASE_MS, '']);
    },
    async read(llmIds) {
      if (llmIds.length === 0) return [];
      const pipeline = redis.pipeline().time();
      for (const id of llmIds) pipeline.get(keys.wake(id));
      const [time, ...values] = (await orUnavailable(pipeline.exec())) ?? [];
      if (!time || time[0]) throw new McpctlError('unavailable');
      for (const [i, answer] of values.entries()) {
        const [error] = answer;
        if (error && !isForeign(error)) throw new McpctlError('unavailable');
        if (error) void mendAfter(redis, [keys.wake(llmIds[i] ?? '')], error); // nothing is known of it until then
      }
      const now = timeOf(time[1]);
      return values.map((answer) => stateOf(answer[1], now));
    },
  };
}

function stateOf(text: unknown, now: number): WakeState {
  const parsed = valueSchema.safeParse(typeof text === 'string' ? asJson(text) : null);
  if (!parsed.success) return { waking: null, failed: null };
  const { phase, since = now, failed } = parsed.data;
  return {
    waking: phase === 'waking' ? { sinceMs: Math.max(0, now - since) } : null,
    failed: failed
      ? { reason: wakeReason(failed.reason), at: failed.at, ageMs: Math.max(0, now - failed.at) }
      : null,
  };
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // nobody we know wrote it
  }
}

/**
 * Holds the llm while `wake` runs, and leaves word of how it went. Never throws.
 * @returns null when somebody else wakes it already, or Redis is away: then nothing was run.
 */
export async function holdWhile(
  { wakes, clock, log }: { wakes: Wakes; clock: Clock; log: Log },
  { llmId, by }: { llmId: string; by: string },
  wake: () => Promise<WakeResult>,
): Promise<WakeResult | null> {
  const over = new AbortController();
  const logLost = (thrown: unknown): void =>
    log.debug({ llmId, why: messageOf(thrown) }, 'how a wake goes could not be said');
  const began = clock.elapsed();
  try {
    if (!(await wakes.hold(llmId, by, 0))) return null;
  } catch (thrown) {
    logLost(thrown);
    return null;
  }
  const renewing = (async () => {
    while (!over.signal.aborted) {
      await pause(RENEW_MS, over.signal);
      if (!over.signal.aborted) await wakes.hold(llmId, by, clock.elapsed() - began).catch(logLost);
    }
  })();
  let result: WakeResult;
  try {
    result = await wake();
  } catch (thrown) {
    result = { ok: false, message: messageOf(thrown) };
  }
  over.abort();
  await renewing; // a renewal that came after the last word would undo it
  await (result.ok ? wakes.over(llmId, by) : wakes.fail(llmId, by, result.message)).catch(logLost);
  return result;
}
