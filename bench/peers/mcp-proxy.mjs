/**
 * The plain proxy that a call of a tool is compared with: a message by HTTP becomes a line for one server over stdio, and its answer
 * the body. No session, no rights, no row, nothing to come back to. `node mcp-proxy.mjs <port> <program> <arguments …>`.
 */
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const [port, ...command] = process.argv.slice(2);
const child = spawn(process.execPath, command, { stdio: ['pipe', 'pipe', 'ignore'] });
child.once('exit', () => process.exit(1));
const waiting = new Map();
let ids = 0;
createInterface({ input: child.stdout }).on('line', (line) => {
  if (!line.startsWith('{')) return;
  const { id, ...answer } = JSON.parse(line);
  const asked = waiting.get(id);
  if (!asked) return;
  waiting.delete(id);
  asked.res.setHeader('content-type', 'application/json');
  asked.res.end(JSON.stringify({ ...answer, id: asked.id }));
});

const server = createServer((req, res) => {
  const parts = [];
  req.on('data', (part) => parts.push(part));
  req.on('end', () => {
    const message = JSON.parse(Buffer.concat(parts).toString('utf8'));
    if (message.id === undefined) res.writeHead(202).end();
    else waiting.set(++ids, { id: message.id, res });
    child.stdin.write(`${JSON.stringify(message.id === undefined ? message : { ...message, id: ids })}\n`);
  });
});
server.listen(Number(port), '127.0.0.1', () => process.stdout.write('ready\n'));
process.stdin.on('end', () => child.kill() && process.exit(0)).resume();
