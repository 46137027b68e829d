import { AsyncLocalStorage } from 'node:async_hooks';
import { Redis } from 'ioredis';
import type { Connection } from '../../core/registry/database/connect.ts';

/** What somebody waits for inside a transaction holds its locks for as long as Redis pleases (docs/decisions/0002). */
export const APART = 'a Redis command was sent inside an open transaction of Postgres';

const inTransaction = new AsyncLocalStorage<{ sent: string[] }>();
const send = Object.getOwnPropertyDescriptor(Redis.prototype, 'sendCommand')?.value as Redis['sendCommand'];
Redis.prototype.sendCommand = function (this: Redis, command, ...rest) {
  inTransaction.getStore()?.sent.push(command.name);
  return send.call(this, command, ...rest);
};

/**
 * The same connection, whose transactions fail when a Redis command is sent within them, by whoever this process is: whoever
 * swallows that fault is told of by `need`.
 */
export function keptApart(connection: Connection): Connection & { need: () => void } {
  const all: string[] = [];
  return {
    ...connection,
    transaction: (work, bytes) =>
      connection.transaction(async (trx) => {
        const sent: string[] = [];
        const done = await inTransaction.run({ sent }, () => work(trx));
        all.push(...sent);
        if (sent.length > 0) throw new TypeError(`${APART}: ${sent.join(', ')}`);
        return done;
      }, bytes),
    need() {
      if (all.length > 0) throw new TypeError(`${APART}: ${all.join(', ')}`);
    },
  };
}
