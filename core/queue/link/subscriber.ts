import type { Redis } from 'ioredis';
import { messageOf } from '../../errors.ts';
import type { Log } from '../../runtime/log.ts';
import type { Service } from '../../runtime/process/service.ts';
import { answered, closeRedis, keepAsking } from './connect.ts';

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

interface Channel {
  hears: Set<(heard: Heard) => void>;
  /** Redis has confirmed it, on the connection of that moment. */
  confirmed: Promise<unknown>;
}

/** Who has gone is told to Redis this much later, with others: nothing comes over the channel of a task that has ended. */
const LEAVE_MS = 50;
const LEAVE_TOGETHER = 100;

/** A channel that was refused on a connection that stands, by a cluster without all its nodes, say, is asked for again so much later. */
const AGAIN_MS = 1_000;

/** Channels that nobody listens on any more, and that this connection is subscribed to still. */
function leavingOf(redis: Redis): {
  add(channel: string): void;
  stay(channel: string): void;
  forget(): void;
} {
  const channels = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  const forget = (): void => {
    clearTimeout(timer);
    timer = undefined;
    channels.clear();
  };
  const leave = (): void => {
    // A closing connection forgets its channels anyway.
    if (channels.size > 0 && redis.status === 'ready')
      void redis.sunsubscribe(...channels).catch(() => undefined);
    forget();
  };
  return {
    add(channel) {
      channels.add(channel);
      if (channels.size >= LEAVE_TOGETHER) leave();
      else timer ??= setTimeout(leave, LEAVE_MS).unref();
    },
    stay: (channel) => void channels.delete(channel),
    forget,
  };
}

/** Asks Redis for channels; one that was confirmed on another connection, for as long as it is refused on this one. */
function subscribing(
  redis: Redis,
  channels: ReadonlyMap<string, Channel>,
  log: Log,
): { subscribe: (name: string) => Promise<unknown>; resubscribe: (name: string, channel: Channel) => void } {
  const subscribe = (name: string): Promise<unknown> => {
    const confirmed = redis.ssubscribe(name);
    // Who waits for it is told; for the others the record is read until it is confirmed.
    confirmed.catch((thrown: unknown) =>
      log.debug({ why: messageOf(thrown) }, 'a channel was not confirmed'),
    );
    return confirmed;
  };
  const resubscribe = (name: string, channel: Channel): void => {
    const confirmed = (channel.confirmed = subscribe(name));
    const isOfNow = (): boolean => channels.get(name) === channel && channel.confirmed === confirmed;
    // Only now: what is said from here on is heard, what was said before is in the record.
    const resync = (): void => channel.hears.forEach((hear) => hear({ kind: 'resync' }));
    const again = (): void => {
      if (isOfNow() && redis.status === 'ready') resubscribe(name, channel);
    };
    confirmed.then(resync, () => {
      resync();
      setTimeout(again, AGAIN_MS).unref();
    });
  };
  return { subscribe, resubscribe };
}

/**
 * Many channels over one connection. Pub/sub is a hint: after every reconnect all channels are subscribed
 * again, until each is confirmed, and all listeners hear `resync` and read the record.
 */
export function createSubscriber(redis: Redis, log: Log): Subscriber {
  const channels = new Map<string, Channel>();
  const leaving = leavingOf(redis);
  let stopAsking = (): void => undefined;

  const { subscribe, resubscribe } = subscribing(redis, channels, log);
  const forget = (channel: string, hear: (heard: Heard) => void): void => {
    const subscription = channels.get(channel);
    subscription?.hears.delete(hear);
    if (subscription?.hears.size !== 0) return;
    channels.delete(channel);
    leaving.add(channel);
  };

  redis.on('smessage', (channel: string, text: string) => {
    for (const hear of channels.get(channel)?.hears ?? []) hear({ kind: 'message', text });
  });
  redis.on('ready', () => {
    leaving.forget(); // this connection is subscribed to nothing
    for (const [name, channel] of channels) resubscribe(name, channel);
  });

  return {
    name: 'subscriber',
    async start() {
      if (redis.status === 'wait') await redis.connect();
      stopAsking = keepAsking(redis, log);
    },
    async listen(channel, hear) {
      let subscription = channels.get(channel);
      if (!subscription) {
        // While Redis is away it is subscribed as soon as it is back; until then the record is read.
        const confirmed = redis.status === 'ready' ? subscribe(channel) : Promise.resolve();
        leaving.stay(channel);
        subscription = { hears: new Set(), confirmed };
        channels.set(channel, subscription);
      }
      subscription.hears.add(hear);
      try {
        await answered(subscription.confirmed);
      } catch (thrown) {
        forget(channel, hear);
        throw thrown;
      }
      return () => forget(channel, hear);
    },
    stop() {
      stopAsking();
      leaving.forget();
      closeRedis(redis);
    },
  };
}
