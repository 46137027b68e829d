/**
 * The scripted backend of the bench, a process of its own. The last message of a call says what to do, as JSON
 * (see script.ts); any other call is answered with five tokens. It tells its parent when a call has come and when
 * its socket was closed, by the clock that all processes of a machine share.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { readScript, type Told } from './script.ts';

const tell = (told: Told): void => void process.send?.(told);
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

async function bodyOf(req: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of req) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString();
}

const base = {
  id: 'chatcmpl-bench',
  object: 'chat.completion.chunk',
  created: 1_700_000_000,
  model: 'bench',
};
const chunk = (delta: object, finish: string | null = null): string =>
  `data: ${JSON.stringify({ ...base, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;

async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  if (req.method === 'GET') {
    res.setHeader('content-type', 'application/json');
    res.end(JSON.stringify({ object: 'list', data: [{ id: 'bench', object: 'model' }] }));
    return;
  }
  const script = readScript(await bodyOf(req));
  res.on('close', () => {
    if (!res.writableFinished) tell({ event: 'closed', id: script.id, atMs: nowMs() });
  });
  tell({ event: 'reached', id: script.id, atMs: nowMs() });
  if (script.silentMs > 0) await sleep(script.silentMs);
  if (!script.streaming) {
    const message = { role: 'assistant', content: 'word '.repeat(script.tokens) };
    res.setHeader('content-type', 'application/json');
    const choices = [{ index: 0, message, finish_reason: 'stop' }];
    res.end(JSON.stringify({ ...base, object: 'chat.completion', choices }));
    return;
  }
  res.setHeader('content-type', 'text/event-stream');
  if (script.tokens > 0) res.write(chunk({ role: 'assistant', content: '' }));
  for (let n = 0; n < script.tokens; n++) res.write(chunk({ content: 'word ' }));
  if (script.holds) return; // until the caller closes
  res.write(chunk({}, 'stop'));
  res.end('data: [DONE]\n\n');
}

const server = createServer((req, res) => {
  answer(req, res).catch(() => res.destroy()); // the caller left in the middle of its body
});
server.on('connection', (socket) => socket.setNoDelay(true));
server.listen(0, '127.0.0.1', () => {
  tell({ event: 'listening', id: String((server.address() as AddressInfo).port), atMs: nowMs() });
});
process.on('disconnect', () => process.exit(0));
