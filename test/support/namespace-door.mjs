/** The inner side of a door into a network namespace: 127.0.0.1:<port> in there leads to a socket in the file system. */
import { connect, createServer } from 'node:net';

const [port, path] = process.argv.slice(2);

createServer((near) => {
  const far = connect(path);
  for (const [from, to] of [
    [near, far],
    [far, near],
  ]) {
    from.on('error', () => from.destroy());
    from.once('close', () => to.destroySoon());
    from.pipe(to);
  }
}).listen(Number(port), '127.0.0.1', () => process.stdout.write('open\n'));
