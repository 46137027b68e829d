import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { McpctlError } from '../../core/errors.ts';
import type { Opened, Told } from './script.ts';

/** The scripted backend, running. */
export interface BenchBackend {
  url: string;
  pid: number;
  /**
   * When the call of this id came, or its socket was closed.
   * @throws McpctlError `timed_out`, after 10 s if nothing else is said.
   */
  whenTold(event: 'reached' | 'closed', id: string, withinMs?: number): Promise<number>;
  /** Lets the calls go on that wait at the gate of that name, and all that come later. */
  open(gate: string): void;
  stop(): Promise<void>;
}

const WITHIN_MS = 10_000;

export async function startBenchBackend(): Promise<BenchBackend> {
  const child = fork(fileURLToPath(new URL('./main.ts', import.meta.url)));
  const ended = once(child, 'exit');
  let stopping = false;
  child.on('exit', (code, signal) => {
    if (stopping) return;
    process.stderr.write(`The backend of the bench has ended by itself: ${String(signal ?? code)}.\n`);
  });
  const heard = new Map<string, number>();
  const waiting = new Map<string, (atMs: number) => void>();
  child.on('message', (message) => {
    const { event, id, atMs } = message as Told;
    const key = event === 'listening' ? event : `${event} ${id}`;
    const value = event === 'listening' ? Number(id) : atMs;
    const hear = waiting.get(key);
    waiting.delete(key);
    if (hear) hear(value);
    else if (id !== '') heard.set(key, value);
  });
  const wait = (key: string, withinMs = WITHIN_MS): Promise<number> =>
    new Promise((resolve, reject) => {
      const atMs = heard.get(key);
      heard.delete(key);
      if (atMs !== undefined) return resolve(atMs);
      const late = `The backend did not say "${key}" within ${String(withinMs / 1_000)} s.`;
      const timer = setTimeout(() => reject(new McpctlError('timed_out', late)), withinMs);
      waiting.set(key, (value) => {
        clearTimeout(timer);
        resolve(value);
      });
    });
  const port = await wait('listening');
  return {
    url: `http://127.0.0.1:${String(port)}`,
    pid: child.pid ?? 0,
    whenTold: (event, id, withinMs) => wait(`${event} ${id}`, withinMs),
    open: (gate) => void child.send({ open: gate } satisfies Opened),
    async stop() {
      stopping = true;
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}
