import { McpctlError, messageOf } from '../../core/errors.ts';
import type { Denials } from '../../core/registry/people/denials.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';

/** Something that stays open on the strength of a token: an answer, a wait, an uplink, a control stream. */
interface Open {
  tokenId: string;
  /** Of the pool that it is about; a token that is bound to others ends it too. */
  poolKey?: string | undefined;
  /** Called once, with what to say: `unauthenticated` or `forbidden`. Must not throw. */
  end: (why: McpctlError) => void;
}

/**
 * Asks while it is used whether a token is still good (decision 0015): everything that stays open registers here, and
 * one query a second asks Postgres about all their tokens at once. Neither Redis nor another edge is needed for it.
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
  log,
}: {
  denials: Pick<Denials, 'goodTokens'>;
  log: Log;
}): Authority {
  const open = new Set<Open>();
  let timer: NodeJS.Timeout | undefined;
  let asking: Promise<void> | undefined;

  const whyNot = (
    { poolKey }: Open,
    pools: readonly string[] | null | undefined,
  ): McpctlError | undefined => {
    if (pools === undefined) {
      return new McpctlError(
        'unauthenticated',
        'The token was revoked or has expired, so that what it had open ends here; use another token.',
      );
    }
    if (pools === null || poolKey === undefined || pools.includes(poolKey)) return undefined;
    return new McpctlError('forbidden', `Your token is not bound to the pool '${poolKey}' any more.`);
  };
  const look = async (): Promise<void> => {
    // What is opened while we ask is asked about the next time.
    const now = [...open];
    if (now.length === 0) return;
    try {
      const good = await denials.goodTokens([...new Set(now.map(({ tokenId }) => tokenId))]);
      for (const one of now) {
        const why = whyNot(one, good.get(one.tokenId));
        if (why && open.delete(one)) one.end(why);
      }
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
