import type { Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { hashToken, type Tokens } from '../../core/registry/people/tokens.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { FailedTokens } from './failed-tokens.ts';
import { Recent } from './recent.ts';

/** Who a token speaks for, remembered for moments so that a busy token costs few queries, and a wrong one too. */
export interface Authenticator {
  /**
   * @param address who says it, as `addressKey` tells them apart; asked only of one who says a token that is not known.
   * @throws McpctlError `unavailable` when Postgres must be asked and is away; `too_many_requests` when this address
   * tried too many tokens that are none, and this one is not known to be one.
   */
  actorOf(text: string, address?: () => string): Promise<Actor | undefined>;
  /**
   * The same for what stands for a token otherwise, as a browser's cookie does: believed as long as a token is, forgotten when
   * tokens are. @param look asks who it is; @throws McpctlError what that throws.
   */
  believe(credential: string, look: () => Promise<Actor | undefined>): Promise<Actor | undefined>;
  /** Forgets everything at once: a token was revoked here. Other edges follow within `cacheMs`. */
  forget(): void;
}

const MOST = 10_000;
/**
 * No yes is older than this, whatever the setting says: what is taken away is gone everywhere within five seconds, also where
 * Postgres is away, and the question that follows takes two more until it is given up.
 */
const LONGEST_MS = 2_500;
/** A token that was good is looked up again for so long, whatever its address has tried. */
const GOOD_MS = 3_600_000;

interface AuthenticatorDeps {
  tokens: Tokens;
  clock: Clock;
  cacheMs: number;
  /** How many tokens that are none an address may try in a minute. */
  maxFailedTokens?: number;
}

/** The key is the whole hash of a token, never a part of it. */
export function createAuthenticator(deps: AuthenticatorDeps): Authenticator {
  const { tokens, clock, cacheMs, maxFailedTokens = 120 } = deps;
  const keptMs = Math.min(cacheMs, LONGEST_MS);
  const recent = new Recent<Actor | undefined>({ clock, keptMs, most: MOST });
  const others = new Recent<Actor | undefined>({ clock, keptMs, most: MOST });
  const unknown = new Recent<true>({ clock, keptMs, most: MOST });
  const good = new Recent<true>({ clock, keptMs: GOOD_MS, most: MOST });
  const failed = new FailedTokens({ clock, most: maxFailedTokens });

  const lookUp = async (text: string, hash: string, address: string): Promise<Actor | undefined> => {
    const wasGood = good.recall(hash) !== undefined;
    const waitS = wasGood ? 0 : failed.take(address);
    if (waitS > 0) {
      const message = `Your address has tried ${String(maxFailedTokens)} tokens that are none within a minute, the most that one may (MCPCTL_MAX_FAILED_TOKENS). Try again after the time in Retry-After.`;
      throw new McpctlError('too_many_requests', message, { retryAfterS: waitS });
    }
    let isNone = false;
    try {
      const actor = await tokens.actorOf(text);
      isNone = actor === undefined;
      void (isNone ? unknown : good).remember(hash, Promise.resolve(true as const));
      return actor;
    } finally {
      if (!wasGood && !isNone) failed.giveBack(address);
    }
  };

  return {
    async actorOf(text, address = () => '') {
      const hash = hashToken(text);
      if (unknown.recall(hash) !== undefined) return undefined;
      return await (recent.recall(hash) ?? recent.remember(hash, lookUp(text, hash, address())));
    },
    believe: (credential, look) => others.recall(credential) ?? others.remember(credential, look()),
    forget() {
      recent.forget();
      others.forget();
      unknown.forget();
    },
  };
}
