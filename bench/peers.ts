import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { McpctlError } from '../core/errors.ts';
import { pause, systemClock as clock } from '../core/runtime/clock.ts';
import { freePort } from '../start/port.ts';
import type { Endpoint } from './report/endpoint.ts';
import { keepExtra } from './product/extras.ts';

/** The baselines that are programs of their own, running. */
export interface Peers {
  endpoints: Endpoint[];
  stop(): Promise<void>;
}

interface Wish {
  backendUrl: string;
  /** Only if they are installed already. */
  offline: boolean;
  progress: (sentence: string) => void;
}

const folder = fileURLToPath(new URL('./peers', import.meta.url));
const READY_MS = 30_000;

/** Starts them, each a process of its own; installs them first where they are missing or of another version. */
export async function startPeers({ backendUrl, offline, progress }: Wish): Promise<Peers> {
  if (!isInstalled()) {
    if (offline) {
      progress('The other gateways are not installed (bench/peers): only the backend is compared with.');
      return { endpoints: [], stop: async () => undefined };
    }
    progress('Installing the other gateways (npm ci in bench/peers) …');
    await install();
  }
  const children: ChildProcess[] = [];
  const endAll = async (): Promise<void> => {
    await Promise.all(children.map(end));
  };
  const stopped = keepExtra(endAll);
  const stop = async (): Promise<void> => {
    await endAll();
    stopped();
  };
  const start = async (peer: Omit<Endpoint, 'url'>, argv: (port: string) => string[]): Promise<Endpoint> => {
    const port = String(await freePort());
    const child = spawn(process.execPath, argv(port), { cwd: folder, stdio: ['pipe', 'ignore', 'ignore'] });
    children.push(child);
    await untilAnswers(`http://127.0.0.1:${port}/`, child);
    return { ...peer, url: `http://127.0.0.1:${port}/v1/chat/completions` };
  };
  try {
    const proxy = { name: 'proxy', what: 'a plain proxy', headers: {} } as const;
    const headers = {
      'x-portkey-provider': 'openai',
      'x-portkey-custom-host': `${backendUrl}/v1`,
      authorization: 'Bearer bench',
    };
    const portkey = { name: 'portkey', what: 'Portkey’s gateway', headers } as const;
    const gateway = `${folder}/node_modules/@portkey-ai/gateway/build/start-server.js`;
    const endpoints = [
      await start(proxy, (port) => [`${folder}/proxy.mjs`, port, backendUrl]),
      await start(portkey, (port) => [gateway, `--port=${port}`]),
    ];
    return { endpoints, stop };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

interface Lock {
  packages: Record<string, { version?: string; optional?: boolean }>;
}

/** npm writes its own lockfile last, so it is there only after a whole install. */
function isInstalled(): boolean {
  const installed = `${folder}/node_modules/.package-lock.json`;
  if (!existsSync(installed)) return false;
  const read = (path: string): Lock => JSON.parse(readFileSync(path, 'utf8')) as Lock;
  const there = read(installed).packages;
  return Object.entries(read(`${folder}/package-lock.json`).packages).every(
    ([path, { version, optional }]) => path === '' || optional || there[path]?.version === version,
  );
}

async function install(): Promise<void> {
  const script = process.env['npm_execpath'] ?? '';
  const [command, first] = basename(script) === 'npm-cli.js' ? [process.execPath, [script]] : ['npm', []];
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const child = spawn(command, [...first, ...args], { cwd: folder, stdio: ['ignore', 2, 2] });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code === 0) return;
  const help = 'With a working network run this again, or compare with the backend alone: --offline.';
  throw new McpctlError('setup_failed', `npm ci in bench/peers failed (see above). ${help}`);
}

async function untilAnswers(url: string, child: ChildProcess): Promise<void> {
  const until = clock.elapsed() + READY_MS;
  for (;;) {
    try {
      await (await fetch(url, { signal: AbortSignal.timeout(2_000) })).arrayBuffer();
      return;
    } catch {
      if (child.exitCode !== null || clock.elapsed() > until)
        throw new McpctlError('setup_failed', `A baseline did not start: ${child.spawnargs.join(' ')}`);
      await pause(50);
    }
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL'); // they hold nothing
  await ended;
}
