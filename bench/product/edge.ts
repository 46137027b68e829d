import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { McpctlError } from '../../core/errors.ts';
import { pause, systemClock as clock } from '../../core/runtime/clock.ts';
import { freePort } from '../../start/port.ts';
import { keepExtra, needGoingOn } from './extras.ts';
import { anyRate, type Product } from './product.ts';

/** One more edge beside that of the product, with the same Redis and Postgres. */
export interface BenchEdge {
  url: string;
  stop(): Promise<void>;
}

const READY_MS = 30_000;
const STOP_MS = 10_000;

export async function startBenchEdge({ redisUrl, databaseUrl }: Product): Promise<BenchEdge> {
  needGoingOn();
  const port = String(await freePort());
  const url = `http://127.0.0.1:${port}`;
  const env = {
    REDIS_URL: redisUrl,
    DATABASE_URL: databaseUrl,
    PORT: port,
    MCPCTL_HOST: '127.0.0.1',
    ...anyRate,
    MCPCTL_SHUTDOWN_GRACE_MS: String(STOP_MS / 2),
  };
  const child = spawn(process.execPath, ['dist/edge/main.js'], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(child, 'exit');
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    if (child.exitCode === null && child.signalCode === null) await ended;
    clearTimeout(timer);
  };
  const stopped = keepExtra(() => end('SIGKILL'));
  const stop = async (): Promise<void> => {
    await end('SIGTERM');
    stopped();
  };
  const until = clock.elapsed() + READY_MS;
  const isReady = async (): Promise<boolean> => {
    try {
      return (await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) })).ok;
    } catch {
      return false; // it does not listen yet
    }
  };
  while (!(await isReady())) {
    if (child.exitCode !== null || clock.elapsed() > until) {
      await stop();
      throw new McpctlError('setup_failed', 'A second edge did not start.');
    }
    await pause(50);
  }
  return { url, stop };
}
