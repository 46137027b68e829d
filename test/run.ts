/**
 * `npm test`: a Redis and a Postgres, then mocha with whatever arguments were given (files, `--grep` …).
 * The last line is `N passed, N failed, N skipped`; the exit code says whether anything failed.
 *
 * Of a run of everything, a file that failed is run once more, alone: tests kill processes and measure times while
 * others do the same beside them. What passes only then is named as unsteady, and so is never unseen
 * (docs/decisions/0009).
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { readOutcome, replaced, summary, worthAnother, type Outcome } from './support/outcome.ts';
import { startTestServices } from './support/services.ts';

const MOST_JOBS = 4;
/** More than these are no accident. */
const MOST_AGAIN = 5;
/** So many of the slowest files are named after a run of everything. */
const SLOWEST = 15;
const everyTest = 'test/**/*.test.ts';
const say = (text: string): void => void process.stderr.write(`${text}\n`);

interface Ran {
  code: number;
  /** Null: mocha did not get so far. */
  outcome: Outcome | null;
}

async function run(args: readonly string[]): Promise<Ran> {
  const services = await startTestServices(process.env, say);
  const env = { REDIS_URL: services.redisUrl, DATABASE_URL: services.databaseUrl };
  const named = args.some((arg) => arg.endsWith('.ts'));
  try {
    const first = await mocha([...args, ...(named ? [] : [...sideBySide(), everyTest])], env);
    const again = named || first.code === 0 || !first.outcome ? [] : worthAnother(first.outcome, MOST_AGAIN);
    return again.length === 0 ? first : await onceMore(first, again, () => mocha([...args, ...again], env));
  } finally {
    await services.stop();
  }
}

async function onceMore(first: Ran, files: readonly string[], run: () => Promise<Ran>): Promise<Ran> {
  say(`\nFailed, and run once more, alone: ${files.join(', ')}`);
  const second = await run();
  if (!first.outcome || !second.outcome) return second;
  const unsteady = files.filter((file) => second.outcome?.files[file]?.failed === 0);
  for (const file of unsteady)
    for (const title of first.outcome.files[file]?.failures ?? []) say(`UNSTEADY ${file}: ${title}`);
  return { code: second.code, outcome: replaced(first.outcome, second.outcome) };
}

/**
 * Files share nothing but the two servers, and wait more than they compute: one more runs at once than there are cores.
 */
function sideBySide(): string[] {
  const cores = availableParallelism();
  const jobs = cores > 1 ? Math.min(cores + 1, MOST_JOBS) : 1;
  return jobs > 1 ? ['--parallel', '--jobs', String(jobs)] : [];
}

async function mocha(args: readonly string[], env: Record<string, string>): Promise<Ran> {
  const folder = mkdtempSync(join(tmpdir(), 'mcpctl-report-'));
  const report = join(folder, 'report.json');
  const times = join(folder, 'times');
  const argv = [
    ...(process.env.CI ? ['--forbid-only'] : []),
    ...['--reporter-option', `report=${report}`],
    ...args,
  ];
  const child = spawn(process.execPath, ['node_modules/mocha/bin/mocha.js', ...argv], {
    stdio: 'inherit',
    env: { ...process.env, ...env, MCPCTL_TEST_TIMES: times },
  });
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, pass);
  const code = await new Promise<number>((resolve) => {
    child.on('error', (error) => {
      say(error.message);
      resolve(1);
    });
    child.on('exit', (ended) => resolve(ended ?? 1));
  });
  for (const signal of signals) process.off(signal, pass);
  const outcome = readOutcome(report);
  if (args.includes(everyTest) && existsSync(times)) say(slowest(readFileSync(times, 'utf8')));
  rmSync(folder, { recursive: true, force: true });
  return { code, outcome };
}

/** @param times lines of `<ms> <file>`. */
function slowest(times: string): string {
  const files = times
    .split('\n')
    .map((line) => line.split(' '))
    .map(([ms, file = '']) => ({ ms: Number(ms), file }))
    .sort((a, b) => b.ms - a.ms);
  const lines = files
    .slice(0, SLOWEST)
    .map(({ ms, file }) => `${(ms / 1000).toFixed(1)} s`.padStart(9) + `  ${file}`);
  return `\nThe slowest files:\n${lines.join('\n')}\n`;
}

try {
  const { code, outcome } = await run(process.argv.slice(2));
  process.exitCode = code;
  process.stdout.write(`${outcome ? summary(outcome) : '0 passed, 1 failed, 0 skipped'}\n`);
} catch (thrown) {
  say(messageOf(thrown));
  process.stdout.write('0 passed, 1 failed, 0 skipped\n');
  process.exitCode = 1;
}
