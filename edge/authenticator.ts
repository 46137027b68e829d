import type { Actor } from '../core/access.ts';
import { hashToken, type Tokens } from '../core/registry/tokens.ts';
import type { Clock } from '../core/runtime/clock.ts';
import { Recent } from './recent.ts';

/** Who a token speaks for, remembered for moments so that a busy token costs few queries. */
export interface Authenticator {
  /** @throws McpctlError `unavailable` when Postgres must be asked and is away. */
  actorOf(text: string): Promise<Actor | undefined>;
  /** Forgets everything at once: a token was revoked here. Other edges follow within `cacheMs`. */
  forget(): void;
}

const MOST = 10_000;

/** The key is the whole hash of a token, never a part of it. Unknown tokens are not remembered. */
export function createAuthenticator(deps: { tokens: Tokens; clock: Clock; cacheMs: number }): Authenticator {
  const { tokens, clock, cacheMs: keptMs } = deps;
  const recent = new Recent<Actor | undefined>({ clock, keptMs, most: MOST });
  return {
    actorOf(text) {
      const hash = hashToken(text);
      return recent.recall(hash) ?? recent.remember(hash, tokens.actorOf(text));
    },
    forget: () => recent.forget(),
  };
}
