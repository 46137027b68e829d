import { hash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Keys } from '../../keys.ts';
import { orUnavailable } from '../../link/connect.ts';

/** Who is told of a project. */
export interface Listener {
  projectId: string;
  tokenId: string;
}

/** What was told to whom: a project's prompts, at a revision of them, to who uses one token, whatever they say of sessions. */
export interface Briefing extends Listener {
  revision: string;
}

/** Who was told a project's prompts. What is lost of it is told again. Each throws McpctlError `unavailable`. */
export interface Briefings {
  /** Was it told, of late? Then it is good for `keepMs` from now on. @param session the client's, in which something is to run; null: none. */
  isGood(briefing: Briefing, at: { keepMs: number; session: string | null }): Promise<boolean>;
  /** The same of many, and none is good for longer by that. */
  areGood(briefings: readonly Briefing[]): Promise<boolean[]>;
  /** It is told, in that session. @returns false where it was already. */
  open(briefing: Briefing, at: { keepMs: number; session: string | null }): Promise<boolean>;
  /** Nobody was told after all. */
  close(whose: Listener): Promise<void>;
  /**
   * A client has ended its session: what was told in it is told anew, if something ran in it since. Where nothing did, that client begins a
   * session for each call, and would never get beyond being told.
   */
  leave(whose: Listener, session: string): Promise<void>;
}

/** A session's id is long. */
const shortOf = (session: string): string => hash('sha256', session, 'base64url').slice(0, 22);
const used = (session: string): string => `${shortOf(session)} used`;

export function createBriefings({ redis, keys }: { redis: Redis; keys: Keys }): Briefings {
  const close = async (whose: Listener): Promise<void> =>
    void (await orUnavailable(redis.del(keys.briefing(whose), keys.briefedIn(whose))));
  return {
    close,
    async isGood({ revision, ...whose }, { keepMs, session }) {
      const [toldOf, where] = await Promise.all([
        orUnavailable(redis.getex(keys.briefing(whose), 'PX', keepMs)),
        session === null ? null : orUnavailable(redis.getex(keys.briefedIn(whose), 'PX', keepMs)),
      ]);
      if (toldOf !== revision) return false;
      if (session !== null && where === shortOf(session))
        await orUnavailable(redis.set(keys.briefedIn(whose), used(session), 'PX', keepMs, 'XX'));
      return true;
    },
    areGood: (all) =>
      Promise.all(
        all.map(
          async ({ revision, ...whose }) =>
            (await orUnavailable(redis.get(keys.briefing(whose)))) === revision,
        ),
      ),
    async open({ revision, ...whose }, { keepMs, session }) {
      const where = keys.briefedIn(whose);
      const [before] = await Promise.all([
        orUnavailable(redis.set(keys.briefing(whose), revision, 'PX', keepMs, 'GET')),
        session === null
          ? orUnavailable(redis.del(where))
          : orUnavailable(redis.set(where, shortOf(session), 'PX', keepMs)),
      ]);
      return before !== revision;
    },
    async leave(whose, session) {
      const where = await orUnavailable(redis.get(keys.briefedIn(whose)));
      if (where === used(session)) await close(whose);
    },
  };
}
