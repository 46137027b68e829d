import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { McpctlError } from '../core/errors.ts';
import { pause, systemClock as clock } from '../core/runtime/clock.ts';
import { homeAt } from '../core/runtime/home.ts';
import type { Product } from './product.ts';

/** One more worker of the product, on a machine that knows nothing but its edge, or on one that has Redis too. */
export interface BenchWorker {
  pid: number;
  stop(): Promise<void>;
}

const READY_MS = 30_000;

export async function startBenchWorker(
  { url, token, redisUrl }: Product,
  { name, backendUrl, transport }: { name: string; backendUrl: string; transport: 'redis' | 'sse' },
): Promise<BenchWorker> {
  const root = await mkdtemp(join(tmpdir(), 'mcpctl-bench-'));
  const home = homeAt(root);
  const provider = {
    name,
    type: 'openai',
    model: 'bench',
    publish: true,
    url: backendUrl,
    maxConcurrency: 64,
  };
  await writeFile(home.config, JSON.stringify({ providers: [provider] }));
  await writeFile(home.credentials, JSON.stringify({ mcpdUrl: url, token }), { mode: 0o600 });
  const child = spawn(process.execPath, ['dist/worker/main.js', 'run'], {
    env: { MCPCTL_HOME: root, ...(transport === 'redis' ? { REDIS_URL: redisUrl } : {}) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (piece: Buffer) => (said = (said + piece.toString()).slice(-20_000)));
  const ended = once(child, 'exit');
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    if (child.exitCode === null && child.signalCode === null) await ended;
    await rm(root, { recursive: true, force: true });
  };
  const until = clock.elapsed() + READY_MS;
  while (!said.includes('"service.ready"')) {
    if (child.exitCode !== null || clock.elapsed() > until) {
      await stop();
      throw new McpctlError('setup_failed', `The worker did not start. It said last:\n${said.slice(-2_000)}`);
    }
    await pause(50);
  }
  return { pid: child.pid ?? 0, stop };
}
