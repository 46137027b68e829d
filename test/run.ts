/**
 * `npm test`: a Redis and a Postgres, then mocha with whatever arguments were given (files, `--grep` …).
 * The last line is `N passed, N failed, N skipped`; the exit code is mocha's.
 */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { messageOf } from '../core/errors.ts';
import { startTestServices } from './support/services.ts';

const MOST_JOBS = 4;
const everyTest = 'test/**/*.test.ts';
const say = (text: string): void => void process.stderr.write(`${text}\n`);

async function run(args: readonly string[]): Promise<number> {
  const services = await startTestServices(process.env, say);
  try {
    return await mocha(args, { REDIS_URL: services.redisUrl, DATABASE_URL: services.databaseUrl });
  } finally {
    await services.stop();
  }
}

/** Files share nothing but the two servers, so as many run at once as there are cores. */
function sideBySide(): string[] {
  const jobs = Math.min(availableParallelism(), MOST_JOBS);
  return jobs > 1 ? ['--parallel', '--jobs', String(jobs)] : [];
}

function mocha(args: readonly string[], env: Record<string, string>): Promise<number> {
  const named = args.some((arg) => arg.endsWith('.ts'));
  const every = named ? [] : [...sideBySide(), everyTest];
  const argv = [...(process.env.CI ? ['--forbid-only'] : []), ...args, ...every];
  const child = spawn(process.execPath, ['node_modules/mocha/bin/mocha.js', ...argv], {
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => {
    child.on('error', (error) => {
      say(error.message);
      resolve(1);
    });
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (thrown) {
  say(messageOf(thrown));
  process.stdout.write('0 passed, 1 failed, 0 skipped\n');
  process.exitCode = 1;
}
