/**
 * Imported by an edge under attack (NODE_OPTIONS): tells whoever connects to HOSTILE_STRETCHES the longest stretch of CPU, in
 * milliseconds, that its one thread took between two turns of a timer since this was asked last. A delay by the clock is also
 * what the machine gives to others; this is the edge's own work alone.
 */
import { openSync, readSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';

const path = process.env['HOSTILE_STRETCHES'];
const EVERY_MS = 1;
const stat = openStat();
const text = Buffer.alloc(64);
let last = cpuMs();
let longest = 0;

/** Undefined where there is no /proc. */
function openStat() {
  try {
    return openSync(`/proc/self/task/${String(process.pid)}/schedstat`, 'r');
  } catch {
    return undefined;
  }
}

function cpuMs() {
  if (stat === undefined) return Number.NaN;
  const length = readSync(stat, text, 0, text.length, 0);
  return Number(text.toString('latin1', 0, length).split(' ')[0]) / 1e6;
}

if (path !== undefined) {
  rmSync(path, { force: true });
  setInterval(() => {
    const now = cpuMs();
    longest = Math.max(longest, now - last);
    last = now;
  }, EVERY_MS).unref();
  createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(String(longest));
    longest = 0;
  })
    .listen(path)
    .unref();
}
