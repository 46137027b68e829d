import type { Actor } from '../../core/access.ts';
import { McpctlError, messageOf } from '../../core/errors.ts';
import type { AdminSessions } from '../../core/registry/people/admin-sessions.ts';
import type { Groups } from '../../core/registry/identity/groups.ts';
import type { Denials } from '../../core/registry/people/denials.ts';
import type { Tokens } from '../../core/registry/people/tokens.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';

/** Something that stays open on the strength of a token: an answer, a wait, an uplink, a control stream. */
interface Open {
  tokenId: string;
  /** Of the browser session that it came by, as that is stored. */
  browser?: string | undefined;
  /** Of the pool that it is about; a token that is bound to others ends it too. */
  poolKey?: string | undefined;
  /** It stands on more than the token: on what its user was granted, or on acting as another. */
  rights?: Standing | undefined;
  /** Called once, with what to say: `unauthenticated` or `forbidden`. Must not throw. */
  end: (why: McpctlError) => void;
}

interface Standing {
  /** Whom the token's user acts as; absent: themselves. */
  as?: string | undefined;
  /** Who the actor is by now, whenever somebody wrote to identity. @returns why it ends. Must not throw. */
  whyNot: (now: Actor) => McpctlError | undefined;
}

/**
 * Asks while it is used whether a token is still good (decision 0015): everything that stays open registers here, and
 * one query a second asks Postgres about all their tokens at once. Neither Redis nor another edge is needed for it. What stands
 * on rights besides (what others said, whom one acts as) is asked for those anew, at the first look, and each time that somebody
 * wrote to identity.
 */
export interface Authority extends Service {
  /** @returns forgets it: it has ended by itself. */
  hold(open: Open): () => void;
  /** Asks now: a token was revoked through this edge. Never throws; what was not heard is asked again in a second. */
  ask(): Promise<void>;
}

const EVERY_MS = 1_000;

export function createAuthority({
  denials,
  adminSessions,
  groups,
  tokens,
  log,
}: {
  denials: Pick<Denials, 'goodTokens'>;
  adminSessions: Pick<AdminSessions, 'good'>;
  groups: Pick<Groups, 'epoch' | 'actAs'>;
  tokens: Pick<Tokens, 'actorOfId'>;
  log: Log;
}): Authority {
  const open = new Set<Open>();
  const whyNotStanding = createStandingLooks({ groups, tokens });
  let timer: NodeJS.Timeout | undefined;
  let asking: Promise<void> | undefined;
  let standing: Promise<void> | undefined;

  const lookAtRights = async (now: readonly Open[]): Promise<void> => {
    try {
      for await (const [one, why] of whyNotStanding(now.filter((each) => open.has(each))))
        if (open.delete(one)) one.end(why);
    } catch (thrown) {
      log.debug({ why: messageOf(thrown) }, 'whether rights still stand could not be asked');
    }
  };
  const look = async (): Promise<void> => {
    // What is opened while we ask is asked about the next time.
    const now = [...open];
    if (now.length === 0) return;
    try {
      const browsers = new Set(now.flatMap(({ browser }) => browser ?? []));
      const [good, signedIn] = await Promise.all([
        denials.goodTokens([...new Set(now.map(({ tokenId }) => tokenId))]),
        browsers.size === 0 ? browsers : adminSessions.good([...browsers]),
      ]);
      for (const one of now) {
        const why = whyNot(one, { pools: good.get(one.tokenId), signedIn });
        if (why && open.delete(one)) one.end(why);
      }
      // By itself: of many that watch it takes longer, and no token's end waits for that.
      void (standing ??= lookAtRights(now).finally(() => (standing = undefined)));
    } catch (thrown) {
      log.debug({ why: messageOf(thrown) }, 'whether tokens are still good could not be asked');
    }
  };
  const ask = (): Promise<void> => (asking ??= look().finally(() => (asking = undefined)));

  return {
    name: 'authority',
    start: () => void (timer = setInterval(() => void ask(), EVERY_MS)),
    stop: () => clearInterval(timer),
    hold(one) {
      open.add(one);
      return () => void open.delete(one);
    },
    async ask() {
      await asking; // one that began before the revocation was written proves nothing
      await ask();
    },
  };
}

interface Good {
  /** As `goodTokens` tells of its token. */
  pools: readonly string[] | null | undefined;
  /** Browser sessions that are not over. */
  signedIn: ReadonlySet<string>;
}

function whyNot({ poolKey, browser }: Open, { pools, signedIn }: Good): McpctlError | undefined {
  if (pools === undefined) {
    return new McpctlError(
      'unauthenticated',
      'The token was revoked or has expired, so that what it had open ends here; use another token.',
    );
  }
  if (browser !== undefined && !signedIn.has(browser))
    return new McpctlError(
      'unauthenticated',
      'You have signed out in this browser, or in as somebody else, so that what it had open ends here; sign in again.',
    );
  if (pools === null || poolKey === undefined || pools.includes(poolKey)) return undefined;
  return new McpctlError('forbidden', `Your token is not bound to the pool '${poolKey}' any more.`);
}

type OfRights = { groups: Pick<Groups, 'epoch' | 'actAs'>; tokens: Pick<Tokens, 'actorOfId'> };

/**
 * Of what stands on rights: each whose epoch of identity has passed is asked anew, by one question for all that one token has
 * open as one user. @returns what may not be any more, with why.
 */
function createStandingLooks({ groups, tokens }: OfRights) {
  const askedAt = new WeakMap<Open, string>();
  const actorNow = async ({ tokenId }: Open, as: string | undefined): Promise<Actor | undefined> => {
    const actor = await tokens.actorOfId(tokenId);
    return actor && as !== undefined ? await groups.actAs(actor, as) : actor;
  };
  return async function* (open: readonly Open[]): AsyncGenerator<[Open, McpctlError]> {
    const standing = open.flatMap((one) => (one.rights ? [{ one, rights: one.rights }] : []));
    if (standing.length === 0) return;
    const epoch = await groups.epoch();
    const actors = new Map<string, Promise<Actor | undefined>>();
    for (const { one, rights } of standing) {
      if (askedAt.get(one) === epoch) continue;
      const key = `${one.tokenId} ${rights.as ?? ''}`;
      const asking = actors.get(key) ?? actorNow(one, rights.as);
      actors.set(key, asking);
      const why = await asking.then((actor) => actor && rights.whyNot(actor), refusalIn);
      askedAt.set(one, epoch);
      if (why) yield [one, why];
    }
  };
}

/** That one may act as another no more is an answer; that nobody can be asked is none. */
function refusalIn(thrown: unknown): McpctlError {
  if (thrown instanceof McpctlError && thrown.code !== 'unavailable') return thrown;
  throw thrown;
}
