import type { Actor } from '../core/access.ts';
import { hashToken, type Tokens } from '../core/registry/tokens.ts';
import type { Clock } from '../core/runtime/clock.ts';

/** Who a token speaks for, remembered for moments so that a busy token costs few queries. */
export interface Authenticator {
  /** @throws McpctlError `unavailable` when Postgres must be asked and is away. */
  actorOf(text: string): Promise<Actor | undefined>;
  /** Forgets everything at once: a token was revoked here. Other edges follow within `cacheMs`. */
  forget(): void;
}

const MOST = 10_000;

interface Entry {
  at: number;
  actor: Promise<Actor | undefined>;
}

/** The key is the whole hash of a token, never a part of it. Unknown tokens are not remembered. */
export function createAuthenticator(deps: { tokens: Tokens; clock: Clock; cacheMs: number }): Authenticator {
  const { tokens, clock, cacheMs } = deps;
  const entries = new Map<string, Entry>();

  const ask = (hash: string, text: string): Promise<Actor | undefined> => {
    const drop = (): void => {
      if (entries.get(hash) === entry) entries.delete(hash);
    };
    const actor = tokens.actorOf(text).then(
      (found) => {
        if (!found) drop();
        return found;
      },
      (thrown: unknown) => {
        drop();
        throw thrown;
      },
    );
    const entry: Entry = { at: clock.elapsed(), actor };
    entries.delete(hash);
    entries.set(hash, entry);
    const oldest = entries.keys().next().value;
    if (entries.size > MOST && oldest !== undefined) entries.delete(oldest);
    return actor;
  };

  return {
    actorOf(text) {
      const hash = hashToken(text);
      const entry = entries.get(hash);
      if (entry && clock.elapsed() - entry.at < cacheMs) return entry.actor;
      return ask(hash, text);
    },
    forget: () => entries.clear(),
  };
}
