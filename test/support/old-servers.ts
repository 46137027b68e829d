import { createServer, type AddressInfo, type Socket } from 'node:net';
import { createSockets } from './sockets.ts';

/** A server that says of itself what no server on a developer's machine would, e.g. that it is old. */
export interface OldServer {
  port: number;
  close(): Promise<void>;
}

/** Speaks as much of Redis's protocol as it takes to be asked for INFO. */
export function startOldRedis(info: string): Promise<OldServer> {
  return serve((socket) => {
    socket.on('data', (bytes) => {
      const asked = bytes.toString('latin1').match(/^\*\d+\r\n\$\d+\r\n\w+/gm) ?? [];
      for (const command of asked)
        socket.write(/info$/i.test(command) ? `$${Buffer.byteLength(info)}\r\n${info}\r\n` : '+OK\r\n');
    });
  });
}

/** Speaks as much of Postgres's protocol as it takes to be asked one number. */
export function startOldPostgres(versionNumber: number): Promise<OldServer> {
  const text = String(versionNumber);
  const column = Buffer.concat([
    Buffer.from('version\0'),
    Buffer.alloc(6),
    int32(23),
    int16(4),
    int32(-1),
    int16(0),
  ]);
  const answer = Buffer.concat([
    message('T', int16(1), column),
    message('D', int16(1), int32(text.length), Buffer.from(text)),
    message('C', Buffer.from('SELECT 1\0')),
    message('Z', Buffer.from('I')),
  ]);
  return serve((socket) => {
    socket.once('data', () => {
      socket.write(Buffer.concat([message('R', int32(0)), message('Z', Buffer.from('I'))]));
      socket.on('data', (bytes) => void (bytes[0] === 0x51 && socket.write(answer)));
    });
  });
}

async function serve(speak: (socket: Socket) => void): Promise<OldServer> {
  const sockets = createSockets();
  const server = createServer((socket) => {
    sockets.keep(socket);
    speak(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, close: () => sockets.closeWith(server) };
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

const message = (kind: string, ...content: Buffer[]): Buffer => {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.from(kind), int32(body.length + 4), body]);
};
