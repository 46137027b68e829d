import type { Redis } from 'ioredis';
import { serverSaysSchema, type ServerSays } from '../../../mcp/process/orders.ts';
import { poolOfServer } from '../../../mcp/names.ts';
import { jsonValue } from '../../../text/json-text.ts';
import type { Keys } from '../../keys.ts';
import { orUnavailable } from '../../link/connect.ts';
import type { Subscriber } from '../../link/subscriber.ts';

/** What came of an order, on its way to the edge that gave it. It is kept nowhere. Each throws McpctlError `unavailable`. */
export interface OrderAnswers {
  /** @returns whether anybody heard it. */
  say(of: { server: string; orderId: string }, says: ServerSays): Promise<boolean>;
  /** @param hear null where something may have been missed. @returns the way to stop. */
  listen(
    of: { server: string; orderId: string },
    hear: (says: ServerSays | null) => void,
  ): Promise<() => void>;
}

interface Store {
  redis: Redis;
  keys: Keys;
}

/** As no task is called: an order has an id of its own. */
const channelOf = (keys: Keys, { server, orderId }: { server: string; orderId: string }): string =>
  keys.pool(poolOfServer(server)).task(orderId).channel;

/** Without a connection that listens: of a hosted worker, which has its own. */
export const sayOfOrders = ({ redis, keys }: Store): Pick<OrderAnswers, 'say'> => ({
  say: async (of, says) =>
    Number(await orUnavailable(redis.spublish(channelOf(keys, of), JSON.stringify(says)))) > 0,
});

export const createOrderAnswers = ({
  subscriber,
  ...store
}: Store & { subscriber: Subscriber }): OrderAnswers => ({
  ...sayOfOrders(store),
  listen: (of, hear) =>
    subscriber.listen(channelOf(store.keys, of), (heard) => {
      if (heard.kind === 'resync') return hear(null);
      const says = serverSaysSchema.safeParse(jsonValue(heard.text));
      if (says.success) hear(says.data);
    }),
});
