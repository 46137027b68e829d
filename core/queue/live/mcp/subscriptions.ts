import type { Redis } from 'ioredis';
import { z } from 'zod';
import { McpctlError } from '../../../errors.ts';
import { poolOfServer } from '../../../mcp/names.ts';
import { MOST_SUBSCRIBED } from '../../../mcp/offers.ts';
import { jsonValue } from '../../../text/json-text.ts';
import type { Keys } from '../../keys.ts';
import { orUnavailable } from '../../link/connect.ts';
import type { Subscriber } from '../../link/subscriber.ts';
import { runScript } from '../../scripts.ts';
import { redisNow } from '../redis-time.ts';

/** A resource of a server. */
export interface ResourceAt {
  server: string;
  uri: string;
}

/** What one stream of a user's client hears of, at whatever edge it is open. */
export interface Subscription extends ResourceAt {
  userId: string;
  /** No blank is in it. */
  streamId: string;
}

/**
 * Which resources clients hear of, over all edges. It is in Redis alone, and whoever holds the stream says it again; what nobody has
 * said for `SUBSCRIBED_MS` is there no more. Each throws McpctlError `unavailable`.
 */
export interface Subscriptions {
  /** Hears of it for a while; said again it goes on. @throws McpctlError `too_many_requests`. */
  keep(one: Subscription): Promise<void>;
  drop(one: Subscription): Promise<void>;
  /** All of a stream. */
  of(whose: Pick<Subscription, 'userId' | 'streamId'>): Promise<ResourceAt[]>;
  /** @param hear those of a stream are others; or may be, where something may have been missed. @returns the way to stop. */
  listenStream(streamId: string, hear: (isMissed: boolean) => void): Promise<() => void>;
}

/** What becomes known of the resources of one server: between its worker, whichever that is, and all edges. */
export interface ResourceNews {
  /** These are others now, which those who hear of them are told. @returns which of its resources somebody hears of. */
  tell(server: string, uris: readonly string[]): Promise<string[]>;
  /** @param hear null: something may have been missed. @returns the way to stop. */
  listen(server: string, hear: (uris: readonly string[] | null) => void): Promise<() => void>;
}

export const SUBSCRIBED_MS = 300_000;
const urisSchema = z.array(z.string()).max(MOST_SUBSCRIBED.server);

interface Store {
  redis: Redis;
  keys: Keys;
}

export function createSubscriptions({
  redis,
  keys,
  subscriber,
}: Store & { subscriber: Subscriber }): Subscriptions {
  const say = async ({ userId, streamId, server, uri }: Subscription, ms: number): Promise<unknown> => {
    const { stream, user, all, server: ofServer, userAtServer } = MOST_SUBSCRIBED;
    const call = {
      keys: [keys.subscribed(userId), keys.allSubscribed, keys.pool(poolOfServer(server)).heard],
      args: [
        ...[`${streamId} ${server} ${uri}`, uri, ms, stream, user, all, ofServer],
        ...[streamId, keys.subscriber(streamId), userAtServer],
      ],
    };
    return await orUnavailable(runScript(redis, 'subscribe', call));
  };
  return {
    async keep(one) {
      const answer = await say(one, SUBSCRIBED_MS);
      if (answer !== 1) throw new McpctlError('too_many_requests', refusalOf(answer));
    },
    async drop(one) {
      await say(one, 0);
    },
    async of({ userId, streamId }) {
      const now = await redisNow(redis);
      const all = await orUnavailable(
        redis.zrangebyscore(keys.subscribed(userId), `(${String(now)}`, '+inf'),
      );
      return all.flatMap((who) => {
        const [, stream, server, uri] = /^(\S+) (\S+) (.*)$/s.exec(who) ?? [];
        return stream === streamId && server !== undefined && uri !== undefined ? [{ server, uri }] : [];
      });
    },
    listenStream: (streamId, hear) =>
      subscriber.listen(keys.subscriber(streamId), ({ kind }) => hear(kind === 'resync')),
  };
}

function refusalOf(answer: unknown): string {
  const { stream, user, all, server, userAtServer } = MOST_SUBSCRIBED;
  if (answer === -1)
    return `This stream hears of ${String(stream)} resources already, the most that one may.`;
  if (answer === -2)
    return `${String(user)} subscriptions to resources are yours already, the most of one user; end some.`;
  if (answer === -3)
    return `${String(server)} resources of this server are heard of already, the most of one server.`;
  if (answer === -4)
    return `You hear of ${String(userAtServer)} resources of this server already, the most of one user; end some.`;
  return `There are ${String(all)} subscriptions to resources in this installation already, the most that may be.`;
}

/** What of it asks and tells, without a connection that listens: of a hosted worker, which has its own. */
export const tellsOfResources = ({ redis, keys }: Store): Pick<ResourceNews, 'tell'> => ({
  async tell(server, uris) {
    const now = await redisNow(redis);
    const { heard, news } = keys.pool(poolOfServer(server));
    const wanted = await orUnavailable(redis.zrangebyscore(heard, `(${String(now)}`, '+inf'));
    const changed = uris.filter((uri) => wanted.includes(uri));
    if (changed.length > 0) await orUnavailable(redis.spublish(news, JSON.stringify(changed)));
    return wanted;
  },
});

export const createResourceNews = ({
  subscriber,
  ...store
}: Store & { subscriber: Subscriber }): ResourceNews => ({
  ...tellsOfResources(store),
  listen: (server, hear) =>
    subscriber.listen(store.keys.pool(poolOfServer(server)).news, (heard) => {
      if (heard.kind === 'resync') return hear(null);
      const uris = urisSchema.safeParse(jsonValue(heard.text));
      if (uris.success) hear(uris.data);
    }),
});
