import type { Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { hashToken, type Tokens } from '../../core/registry/people/tokens.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { FailedTokens } from './failed-tokens.ts';
import { Recent } from './recent.ts';

/** What stands for a token, and who says it. */
interface Credential {
  text: string;
  /** As `addressKey` tells them apart. */
  address: string;
  /** Asks who it is. */
  look: () => Promise<Actor | undefined>;
}

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
   * tokens are. An address has as many tries of these as of tokens, counted apart: browsers that come back with yesterday's cookie bar no program.
   * @throws McpctlError as `actorOf`, and what the look throws.
   */
  believe(credential: Credential): Promise<Actor | undefined>;
  /** The same, and it is asked each time: nothing is believed for longer. @throws as `believe`. */
  askAnew(credential: Credential): Promise<Actor | undefined>;
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
  const caches = { clock, keptMs, maxFailedTokens };
  const ofTokens = createLooks({ ...caches, what: 'tokens' });
  const others = createLooks({ ...caches, what: 'sign-ins' });

  return {
    async actorOf(text, address = () => '') {
      return await ofTokens.believe(hashToken(text), { address, look: () => tokens.actorOf(text) });
    },
    believe: ({ text, address, look }) => others.believe(text, { address: () => address, look }),
    askAnew: ({ text, address, look }) => others.lookUp(text, { address: () => address, look }),
    forget() {
      ofTokens.forget();
      others.forget();
    },
  };
}

interface Look {
  address: () => string;
  look: () => Promise<Actor | undefined>;
}

/** Looks for who somebody is: what was seen is believed for a moment, and who guesses is counted by address. */
function createLooks({
  clock,
  keptMs,
  maxFailedTokens,
  what,
}: {
  clock: Clock;
  keptMs: number;
  maxFailedTokens: number;
  what: string;
}) {
  const recent = new Recent<Actor | undefined>({ clock, keptMs, most: MOST });
  const unknown = new Recent<true>({ clock, keptMs, most: MOST });
  const good = new Recent<true>({ clock, keptMs: GOOD_MS, most: MOST });
  const failed = new FailedTokens({ clock, most: maxFailedTokens });

  /** A try is taken, and given back where it was none. */
  const tryOnce = async (address: string, look: Look['look']): Promise<Actor | undefined> => {
    const waitS = failed.take(address);
    if (waitS > 0) {
      const message = `Your address has tried ${String(maxFailedTokens)} ${what} that are none within a minute, the most that one may (MCPCTL_MAX_FAILED_TOKENS). Try again after the time in Retry-After.`;
      throw new McpctlError('too_many_requests', message, { retryAfterS: waitS });
    }
    let isNone = false;
    try {
      const actor = await look();
      isNone = actor === undefined;
      return actor;
    } finally {
      if (!isNone) failed.giveBack(address);
    }
  };
  const lookUp = async (key: string, { address, look }: Look): Promise<Actor | undefined> => {
    const actor = await (good.recall(key) === undefined ? tryOnce(address(), look) : look());
    void (actor === undefined ? unknown : good).remember(key, Promise.resolve(true as const));
    return actor;
  };
  return {
    lookUp,
    async believe(key: string, how: Look): Promise<Actor | undefined> {
      if (unknown.recall(key) !== undefined) return undefined;
      return await (recent.recall(key) ?? recent.remember(key, lookUp(key, how)));
    },
    forget() {
      recent.forget();
      unknown.forget();
    },
  };
}
