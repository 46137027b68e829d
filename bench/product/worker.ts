import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import { pause, systemClock as clock } from '../../core/runtime/clock.ts';
import { homeAt } from '../../core/runtime/files/home.ts';
import { nowMs } from '../report/clock.ts';
import { keepExtra, needGoingOn } from './extras.ts';
import type { Product } from './product.ts';

/** One more worker of the product, on a machine that knows nothing but its edge, or on one that has Redis too. */
export interface BenchWorker {
  pid: number;
  /** SIGKILL. @returns when, by the monotonic clock. */
  kill(): number;
  stop(): Promise<void>;
}

export interface Offer {
  /** The llms it publishes. They share its slots, because they share their backend. */
  names: readonly string[];
  poolName?: string;
  backendUrl: string;
  transport: 'redis' | 'sse';
  slots?: number;
  /** MCP servers of its config.json. */
  mcpServers?: readonly object[];
}

const READY_MS = 30_000;
const SLOTS = 64;

export async function startBenchWorker(
  { url, token, redisUrl }: Product,
  { names, poolName, backendUrl, transport, slots = SLOTS, mcpServers = [] }: Offer,
): Promise<BenchWorker> {
  needGoingOn();
  const root = await mkdtemp(join(tmpdir(), 'mcpctl-bench-'));
  const home = homeAt(root);
  const providers = names.map((name) => ({
    name,
    type: 'openai',
    model: 'bench',
    publish: true,
    url: backendUrl,
    maxConcurrency: slots,
    ...(poolName === undefined ? {} : { poolName }),
  }));
  await writeFile(home.config, JSON.stringify({ providers, mcpServers }));
  await writeFile(home.credentials, JSON.stringify({ mcpdUrl: url, token }), { mode: 0o600 });
  const child = spawn(process.execPath, ['dist/worker/main.js', 'run'], {
    env: { MCPCTL_HOME: root, ...(transport === 'redis' ? { REDIS_URL: redisUrl } : {}) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  let ready = false;
  child.stdout.on('data', (piece: Buffer) => {
    if (ready) return;
    output = (output + piece.toString()).slice(-20_000);
    ready = output.includes('"service.ready"');
  });
  const ended = once(child, 'exit');
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    if (child.exitCode === null && child.signalCode === null) await ended;
    await rm(root, { recursive: true, force: true });
  };
  const stopped = keepExtra(() => end('SIGKILL'));
  const stop = async (): Promise<void> => {
    await end('SIGTERM');
    stopped();
  };
  const until = clock.elapsed() + READY_MS;
  while (!ready) {
    if (child.exitCode !== null || clock.elapsed() > until) {
      await stop();
      throw new McpctlError(
        'setup_failed',
        `The worker did not start. It said last:\n${output.slice(-2_000)}`,
      );
    }
    await pause(20);
  }
  return {
    pid: child.pid ?? 0,
    kill() {
      const at = nowMs();
      child.kill('SIGKILL');
      return at;
    },
    stop,
  };
}
