import { createServer, type AddressInfo, type Socket } from 'node:net';
import { Client } from 'pg';
import { createSockets } from './sockets.ts';
import type { OldServer } from './old-servers.ts';

const SSL_REQUEST = 80_877_103;
/** AuthenticationOk, and ReadyForQuery outside of a transaction. */
const WELCOME = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49]);
const [READY, IDLE, TERMINATE] = [0x5a, 0x49, 0x58];

/**
 * As PgBouncer before 1.21 with `pool_mode = transaction` and one server connection: whoever speaks has it until the
 * server is idle again, and what one prepared there the next one finds.
 */
export async function startOldPooler(databaseUrl: string): Promise<OldServer> {
  const sockets = createSockets();
  const real = new Client({ connectionString: databaseUrl });
  real.on('error', () => undefined); // it is taken apart
  await real.connect();
  const { stream: server } = Reflect.get(real, 'connection');
  server.removeAllListeners('data');
  const waiting: { client: Socket; bytes: Buffer }[] = [];
  let has: Socket | undefined;
  const next = (): void => {
    const turn = has ? undefined : waiting.shift();
    if (!turn) return;
    has = turn.client;
    server.write(turn.bytes);
  };
  const isIdle = readyReader();
  server.on('data', (bytes: Buffer) => {
    has?.write(bytes);
    if (!isIdle(bytes)) return;
    has = undefined;
    next();
  });
  const front = createServer((client) => {
    sockets.keep(client);
    let greeted = false;
    client.on('data', (packet: Buffer) => {
      if (!greeted && packet.readInt32BE(4) === SSL_REQUEST) return void client.write('N');
      if (!greeted) return void (greeted = client.write(WELCOME));
      if (packet[0] === TERMINATE) return void client.end();
      if (has === client) return void server.write(packet);
      waiting.push({ client, bytes: packet });
      next();
    });
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  return {
    port: (front.address() as AddressInfo).port,
    async close() {
      await sockets.closeWith(front);
      server.destroy();
    },
  };
}

/** Whether what came so far ends with the server being idle. */
function readyReader(): (bytes: Buffer) => boolean {
  let buffered = Buffer.alloc(0);
  return (bytes) => {
    buffered = Buffer.concat([buffered, bytes]);
    let idle = false;
    while (buffered.length >= 5 && buffered.length >= 1 + buffered.readInt32BE(1)) {
      idle = buffered[0] === READY && buffered[5] === IDLE;
      buffered = buffered.subarray(1 + buffered.readInt32BE(1));
    }
    return idle && buffered.length === 0;
  };
}
