import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { Keys } from '../keys.ts';
import { orUnavailable } from '../link/connect.ts';
import { runScript } from '../scripts.ts';

/** What is bounded of an owner at all edges together, and whose it is at which of them. */
export interface Share {
  what: 'calls' | 'streams';
  owner: string;
  edge: string;
}

/** How much an owner has open at each edge. What an edge has not said for `SHARE_MS` is there no more: it was killed. */
export interface Shares {
  /**
   * Says what an edge has and would have, which replaces what it said before.
   * @returns how much it may have from now on, of `wants` at most, and how much others have. It is less than it has where others took
   *   the room while Redis had lost what was said, or wait for theirs. @throws McpctlError `unavailable`.
   */
  take(share: Share, amount: { has: number; wants: number; most: number }): Promise<Taken>;
}

export interface Taken {
  may: number;
  others: number;
}

/** Said every third of it: two that are lost are borne. */
export const SHARE_MS = 10_000;

const answerSchema = z.tuple([z.number(), z.number()]);

/** @param lastsMs instead of `SHARE_MS`, for tests. */
export const createShares = ({ redis, keys }: { redis: Redis; keys: Keys }, lastsMs = SHARE_MS): Shares => ({
  async take({ what, owner, edge }, { has, wants, most }) {
    const call = { keys: [keys.share(what, owner)], args: [edge, has, wants, most, lastsMs] };
    const [may, others] = answerSchema.parse(await orUnavailable(runScript(redis, 'share', call)));
    return { may, others };
  },
});
