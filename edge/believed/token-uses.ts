import { messageOf } from '../../core/errors.ts';
import type { Tokens } from '../../core/registry/people/tokens.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';

/**
 * When tokens were used last, to the minute. A call costs a look into a set; Postgres hears in batches of those that were used in a
 * minute for the first time. What cannot be written is lost, until the token is used in another minute.
 */
export interface TokenUses extends Service {
  note(tokenId: string): void;
}

const MINUTE_MS = 60_000;
const FLUSH_MS = 1_000;
const TOGETHER = 1_000;
/** So many tokens a minute are written down by an edge; the others are, in another minute. */
const MOST = 20_000;

export function createTokenUses({
  tokens,
  clock,
  log,
}: {
  tokens: Pick<Tokens, 'used'>;
  clock: Clock;
  log: Log;
}): TokenUses {
  const noted = new Set<string>();
  let minute = 0;
  let waiting: string[] = [];
  let timer: NodeJS.Timeout | undefined;

  const write = async (): Promise<void> => {
    try {
      while (waiting.length > 0) await tokens.used(waiting.splice(0, TOGETHER));
    } catch (thrown) {
      waiting = [];
      log.debug({ why: messageOf(thrown) }, 'when tokens were used could not be written');
    } finally {
      timer = undefined;
    }
  };

  return {
    name: 'token uses',
    note(tokenId) {
      const now = Math.floor(clock.now() / MINUTE_MS);
      if (now !== minute) noted.clear();
      minute = now;
      if (noted.has(tokenId) || noted.size >= MOST) return;
      noted.add(tokenId);
      waiting.push(tokenId);
      timer ??= setTimeout(() => void write(), FLUSH_MS);
    },
    async stop() {
      clearTimeout(timer);
      await write();
    },
  };
}
