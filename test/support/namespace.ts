import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { messageOf } from '../../core/errors.ts';
import { createSockets } from './sockets.ts';

const run = promisify(execFile);
const door = fileURLToPath(new URL('namespace-door.mjs', import.meta.url));

/**
 * A network of its own, which has a loopback and nothing else: no way to this machine, no way out. What a process
 * in it may reach is let in port by port, through a socket in the file system.
 *
 *   const network = await openNamespace();
 *   if (typeof network === 'string') this.skip();        // why it cannot be had here
 *   await network.admit(edgePort);                       // now 127.0.0.1:<edgePort> works in there
 *   await t.startWorker(offers, { transport: 'sse', through: network.through });
 */
export interface Namespace {
  /** Runs the command that follows it in there: the process id stays. */
  through: readonly string[];
  /** The port of 127.0.0.1 here is one of 127.0.0.1 in there. */
  admit(port: number): Promise<void>;
  /** What a script (an ES module) prints in there. */
  evaluate(script: string): Promise<string>;
  close(): Promise<void>;
}

/** @returns why not, where the system does not let us: no Linux, no `ip`, no right to. */
export async function openNamespace(): Promise<Namespace | string> {
  const name = `mcpctl-${randomBytes(4).toString('hex')}`;
  const through = ['ip', 'netns', 'exec', name] as const;
  try {
    await run('ip', ['netns', 'add', name]);
  } catch (thrown) {
    return `a network namespace cannot be made here: ${messageOf(thrown).trim()}`;
  }
  await run('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
  const folder = await mkdtemp(join(tmpdir(), 'mcpctl-namespace-'));
  const [command, ...args] = through;
  const outer: Server[] = [];
  const sockets = createSockets();
  const stops: (() => Promise<void>)[] = [];

  const forward = (port: number, path: string): Promise<void> => {
    const server = createServer((near) => sockets.join(near, connect(port, '127.0.0.1')));
    outer.push(server);
    return new Promise((resolve) => server.listen(path, resolve));
  };
  return {
    through,
    async admit(port) {
      const path = join(folder, `${String(port)}.sock`);
      await forward(port, path);
      const inner = spawn(command, [...args, process.execPath, door, String(port), path], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const gone = new Promise<void>((resolve) => inner.once('exit', () => resolve()));
      stops.push(async () => {
        inner.kill('SIGKILL');
        await gone;
      });
      await new Promise<void>((resolve) =>
        createInterface({ input: inner.stdout }).once('line', () => resolve()),
      );
    },
    async evaluate(script) {
      const argv = [...args, process.execPath, '--input-type=module', '--eval', script];
      return (await run(command, argv)).stdout.trim();
    },
    async close() {
      for (const stop of stops) await stop();
      await sockets.closeWith(...outer);
      await run('ip', ['netns', 'delete', name]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
