import type { Redis } from 'ioredis';
import { McpctlError, messageOf } from '../errors.ts';
import type { Log } from '../runtime/log.ts';
import type { Service } from '../runtime/service.ts';

/** What a channel tells its listener: a message, or that messages may have been lost. */
export type Heard = { kind: 'message'; text: string } | { kind: 'resync' };

export interface Subscriber extends Service {
  /**
   * Listens on a sharded channel; resolves once Redis has confirmed it.
   * @returns the way to stop.
   * @throws McpctlError `unavailable` when Redis does not confirm within 2 s.
   */
  listen(channel: string, hear: (heard: Heard) => void): Promise<() => void>;
}

const PING_EVERY_MS = 1_000;
const ANSWER_WITHIN_MS = 2_000;

/**
 * Many channels over one connection. Pub/sub is a hint: after every reconnect all listeners hear `resync` and
 * read the record. An idle subscriber never notices a half-open connection by itself, hence the PING each
 * second and the reconnect when no answer came for two.
 */
export function createSubscriber(redis: Redis, log: Log): Subscriber {
  const listeners = new Map<string, Set<(heard: Heard) => void>>();
  let pinger: NodeJS.Timeout | undefined;
  let unanswered = 0;

  redis.on('smessage', (channel: string, text: string) => {
    for (const hear of listeners.get(channel) ?? []) hear({ kind: 'message', text });
  });
  redis.on('ready', () => {
    unanswered = 0;
    for (const set of listeners.values()) for (const hear of set) hear({ kind: 'resync' });
  });

  const ping = (): void => {
    if (redis.status !== 'ready') return;
    if (unanswered * PING_EVERY_MS >= ANSWER_WITHIN_MS) {
      unanswered = 0;
      log.warn('the subscriber connection does not answer; reconnecting');
      redis.disconnect(true);
      return;
    }
    unanswered += 1;
    redis.ping().then(
      () => (unanswered = 0),
      (thrown: unknown) => log.debug({ why: messageOf(thrown) }, 'a ping failed'),
    );
  };

  return {
    name: 'subscriber',
    async start() {
      if (redis.status === 'wait') await redis.connect();
      pinger = setInterval(ping, PING_EVERY_MS);
    },
    async listen(channel, hear) {
      const known = listeners.get(channel);
      if (known) {
        known.add(hear);
      } else {
        listeners.set(channel, new Set([hear]));
        if (redis.status === 'ready') await bounded(redis.ssubscribe(channel));
        else void redis.ssubscribe(channel).catch(() => undefined); // sent once it is back; until then the record is read
      }
      return () => {
        const set = listeners.get(channel);
        set?.delete(hear);
        if (set?.size !== 0) return;
        listeners.delete(channel);
        void redis.sunsubscribe(channel).catch(() => undefined); // a closing connection forgets its channels anyway
      };
    },
    stop() {
      clearInterval(pinger);
      redis.disconnect();
    },
  };
}

async function bounded(call: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new McpctlError('unavailable')), ANSWER_WITHIN_MS);
  });
  try {
    await Promise.race([call, late]);
  } finally {
    clearTimeout(timer);
  }
}
