import type { Redis } from 'ioredis';
import type { Keys } from '../../keys.ts';
import { orUnavailable } from '../../link/connect.ts';

/** What was told to whom: a project's prompts, at a revision of them, to who uses one token, whatever they say of sessions. */
export interface Briefing {
  projectId: string;
  tokenId: string;
  revision: string;
}

/** Who was told a project's prompts. What is lost of it is told again. Each throws McpctlError `unavailable`. */
export interface Briefings {
  /** Was it told, of late? Then it is good for `keepMs` from now on. */
  isGood(briefing: Briefing, keepMs: number): Promise<boolean>;
  /** The same of many, and none is good for longer by that. */
  areGood(briefings: readonly Briefing[]): Promise<boolean[]>;
  /** It is told. @returns false where it was already. */
  open(briefing: Briefing, keepMs: number): Promise<boolean>;
  close(whose: Omit<Briefing, 'revision'>): Promise<void>;
}

export const createBriefings = ({ redis, keys }: { redis: Redis; keys: Keys }): Briefings => ({
  isGood: async ({ revision, ...whose }, keepMs) =>
    (await orUnavailable(redis.getex(keys.briefing(whose), 'PX', keepMs))) === revision,
  areGood: (all) =>
    Promise.all(
      all.map(
        async ({ revision, ...whose }) => (await orUnavailable(redis.get(keys.briefing(whose)))) === revision,
      ),
    ),
  open: async ({ revision, ...whose }, keepMs) =>
    (await orUnavailable(redis.set(keys.briefing(whose), revision, 'PX', keepMs, 'GET'))) !== revision,
  close: async (whose) => void (await orUnavailable(redis.del(keys.briefing(whose)))),
});
