/** A process that takes whatever comes and answers nothing: what an attack costs everybody before anybody looks at it. */
import { createServer, type AddressInfo } from 'node:net';

const server = createServer((socket) => {
  socket.on('error', () => undefined);
  socket.resume();
});
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on('disconnect', () => process.exit(0));
