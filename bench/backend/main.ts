/**
 * The scripted backend of the bench, a process of its own. The last message of a call says what to do, as JSON
 * (see script.ts); any other call is answered with five tokens. It tells its parent when a call has come and when
 * its socket was closed, by the clock that all processes of a machine share.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { nowMs } from '../report/clock.ts';
import { streamed, whole } from './answers.ts';
import { readScript, type Opened, type Told } from './script.ts';

const tell = (message: Told): void => void process.send?.(message);

function bodyOf(req: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    req.on('data', (piece: Buffer) => pieces.push(piece));
    req.on('end', () => resolve(Buffer.concat(pieces).toString()));
    req.on('error', reject);
  });
}

/** Calls that wait for their gate. */
const waiting = new Map<string, (() => void)[]>();
const opened = new Set<string>();

function gate(name: string): Promise<void> {
  if (name === '' || opened.has(name)) return Promise.resolve();
  return new Promise((resolve) => {
    const others = waiting.get(name) ?? [];
    others.push(resolve);
    waiting.set(name, others);
  });
}

process.on('message', ({ open }: Opened) => {
  opened.add(open);
  for (const go of waiting.get(open) ?? []) go();
  waiting.delete(open);
});

async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  if (req.method === 'GET') {
    res.setHeader('content-type', 'application/json');
    res.end(JSON.stringify({ object: 'list', data: [{ id: 'bench', object: 'model' }] }));
    return;
  }
  const script = readScript(await bodyOf(req));
  if (script.id !== '') {
    const { id } = script;
    res.on('close', () => {
      if (!res.writableFinished) tell({ event: 'closed', id, atMs: nowMs() });
    });
    tell({ event: 'reached', id, atMs: nowMs() });
  }
  if (script.silentMs > 0) await sleep(script.silentMs);
  if (script.gate !== '') await gate(script.gate);
  if (script.streaming) await streamed(res, script);
  else whole(res, script);
}

const server = createServer((req, res) => {
  answer(req, res).catch(() => res.destroy()); // the caller left in the middle of its body
});
// A kept connection is never closed by the backend: a caller that uses it at that moment would fail.
server.keepAliveTimeout = 600_000;
server.on('connection', (socket) => socket.setNoDelay(true));
server.listen({ port: 0, host: '127.0.0.1', backlog: 1_024 }, () => {
  tell({ event: 'listening', id: String((server.address() as AddressInfo).port), atMs: nowMs() });
});
process.on('disconnect', () => process.exit(0));
