import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import { pause, systemClock as clock } from '../../core/runtime/clock.ts';
import { homeAt } from '../../core/runtime/files/home.ts';
import { freePort } from '../../start/port.ts';
import { keepExtra, needGoingOn } from './extras.ts';

/** The product as `npm start` ships it, in a home of its own, with its own Redis and Postgres. */
export interface Product {
  url: string;
  token: string;
  /** The supervisor's; everything else is below it. */
  pid: number;
  redisUrl: string;
  databaseUrl: string;
  stop(): Promise<void>;
}

/** More than any scenario has under way at once: what waits for a slot would be measured as a lag. */
const SLOTS = 1_024;
const READY = 'Ctrl-C stops everything';
const READY_MS = 180_000;
const STOP_MS = 15_000;
const runningSchema = z.object({ redisUrl: z.string(), databaseUrl: z.string() });
const credentialsSchema = z.object({ mcpdUrl: z.string(), token: z.string() });

/** One user asks for everything here, as fast as it goes. */
export const anyRate = {
  MCPCTL_MAX_USER_REQUEST_RATE: '1000000',
  MCPCTL_MAX_USER_CALL_RATE: '1000000',
  MCPCTL_MAX_ADDRESS_REQUEST_RATE: '1000000',
} as const;

/** An older checkout would not start with settings that it does not know. */
const knownTo = (checkout: string): Record<string, string> => {
  const settings = readFileSync(join(checkout, '.env.example'), 'utf8');
  return Object.fromEntries(Object.entries(anyRate).filter(([name]) => settings.includes(name)));
};

/**
 * @param env PATH and what npm says of itself; nothing that would lead to another Redis or Postgres.
 * @param checkout a folder with the product built in it.
 */
export async function startProduct(
  backendUrl: string,
  { env, checkout }: { env: NodeJS.ProcessEnv; checkout: string },
): Promise<Product> {
  needGoingOn();
  const root = await mkdtemp(join(tmpdir(), 'mcpctl-bench-'));
  const home = homeAt(root);
  const provider = {
    name: 'bench',
    type: 'openai',
    model: 'bench',
    publish: true,
    url: backendUrl,
    maxConcurrency: SLOTS,
  };
  await writeFile(home.config, JSON.stringify({ providers: [provider], agents: [] }));
  const logPath = join(root, 'output');
  const log = openSync(logPath, 'w');
  const child = spawn(process.execPath, ['dist/start/main.js'], {
    cwd: checkout,
    env: { ...env, ...knownTo(checkout), MCPCTL_HOME: root, PORT: String(await freePort()) },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const ended = once(child, 'exit');
  const output = (): string => readFileSync(logPath, 'utf8');
  const end = async (): Promise<void> => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    if (child.exitCode === null && child.signalCode === null) await ended;
    clearTimeout(timer);
    await rm(root, { recursive: true, force: true });
  };
  const stopped = keepExtra(end); // while it starts it is nobody's
  const stop = async (): Promise<void> => {
    await end();
    stopped();
  };
  const until = clock.elapsed() + READY_MS;
  while (!output().includes(READY)) {
    if (child.exitCode !== null || clock.elapsed() > until) {
      const tail = output().split('\n').slice(-20).join('\n');
      await stop();
      throw new McpctlError('setup_failed', `The product did not start. It said last:\n${tail}`);
    }
    await pause(50);
  }
  const { mcpdUrl, token } = credentialsSchema.parse(JSON.parse(readFileSync(home.credentials, 'utf8')));
  const { redisUrl, databaseUrl } = runningSchema.parse(JSON.parse(readFileSync(home.running, 'utf8')));
  return { url: mcpdUrl, token, pid: child.pid ?? 0, redisUrl, databaseUrl, stop };
}
