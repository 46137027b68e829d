/**
 * The real demo engine for tests: llama.cpp with tiny-chat, installed once into `node_modules/.cache`, in a
 * child process. Undefined where it cannot be installed (no network): skip then, `this.skip()`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { homeAt } from '../../core/runtime/files/home.ts';
import { installDemoEngine } from '../../start/demo/install.ts';
import { freePort } from '../../start/port.ts';
import type { Namespace } from './namespace.ts';

export interface DemoEngine {
  /** Without `/v1`. */
  url: string;
  /** What it printed so far. */
  printed(): string;
  /** SIGTERM; resolves with its exit code. */
  stop(): Promise<number | null>;
}

interface EngineOptions {
  slots?: number;
  /** Where it runs, and is to be reached; default: on this machine. */
  network?: Pick<Namespace, 'through' | 'evaluate'>;
}

export async function startDemoEngine(options: EngineOptions = {}): Promise<DemoEngine | undefined> {
  const { slots = 4, network } = options;
  const folder = await installed();
  if (folder === undefined) return undefined;
  const port = await freePort();
  const args = ['--import', 'tsx', 'start/demo/main.ts', '--port', String(port), '--engine', folder];
  const [command = '', ...argv] = [...(network?.through ?? []), process.execPath, ...args];
  const child = spawn(command, [...argv, '--slots', String(slots)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece: Buffer) => (text += piece.toString()));
  }
  const exit = once(child, 'exit') as Promise<[number | null]>;
  const url = `http://127.0.0.1:${String(port)}`;
  for (const until = performance.now() + 20_000; ; await sleep(50)) {
    if (child.exitCode !== null || performance.now() > until)
      expect.fail(`the demo engine did not start: ${text}`);
    if (await isUp(`${url}/health`, network)) break;
  }
  return {
    url,
    printed: () => text,
    async stop() {
      child.kill('SIGTERM');
      return (await exit)[0];
    },
  };
}

async function isUp(url: string, network: EngineOptions['network']): Promise<boolean> {
  if (!network) return (await fetch(url).catch(() => undefined))?.ok === true;
  const printed = await network.evaluate(
    `console.log((await fetch('${url}').catch(() => undefined))?.ok === true)`,
  );
  return printed === 'true';
}

async function installed(): Promise<string | undefined> {
  try {
    const home = homeAt('node_modules/.cache/mcpctl-test');
    return await installDemoEngine({ home, npm: ['npm'], say: () => undefined });
  } catch {
    return undefined; // the tests that need it say that they are skipped
  }
}
