/**
 * `npm test`: a Redis and a Postgres, then mocha with whatever arguments were given (files, `--grep` …).
 * The last line is `N passed, N failed, N skipped`; the exit code says whether anything failed.
 *
 * Without a file it runs everything, in lanes beside each other (support/lanes.ts), and leaves what each file took in
 * `.boot/test-report.json`. Of such a run a file that failed is run once more, alone: tests kill processes and measure
 * times while others do the same beside them. What passes only then is named as unsteady, and so is never unseen
 * (docs/decisions/0009).
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { systemClock as clock } from '../core/runtime/clock.ts';
import { bundlePrograms } from './support/bundles.ts';
import { sharedOut, type Lane } from './support/lanes.ts';
import {
  exitCodeOf,
  failures,
  readOutcome,
  replaced,
  summary,
  together,
  worthAnother,
  type Outcome,
} from './support/outcome.ts';
import { expected, readTimes, slowest, writeReport } from './support/report.ts';
import { startTestServices } from './support/services.ts';
import { dropKept } from './support/schemas.ts';
import { writeTemplate } from './support/template.ts';

/** More than these are no accident. */
const MOST_AGAIN = 8;
const BUNDLES = resolve('.boot', 'bundles');
const say = (text: string): void => void process.stderr.write(`${text}\n`);

interface Ran {
  code: number;
  /** Null: mocha did not get so far. */
  outcome: Outcome | null;
}

async function run(args: readonly string[]): Promise<Ran> {
  const isNarrow = args.some((arg) => arg.endsWith('.ts'));
  const [services] = await Promise.all([
    startTestServices(process.env, say, { flushes: false }),
    isNarrow ? undefined : bundlePrograms(BUNDLES),
  ]);
  const folder = mkdtempSync(join(tmpdir(), 'mcpctl-report-'));
  const template = join(folder, 'template.sql');
  const run: MochaRun = {
    env: {
      REDIS_URL: services.redisUrl,
      DATABASE_URL: services.databaseUrl,
      ...(isNarrow ? {} : { MCPCTL_TEST_BUNDLES: BUNDLES }),
      MCPCTL_TEST_TEMPLATE: template,
    },
    folder,
  };
  try {
    await writeTemplate(services.databaseUrl, { schema: `template_${String(process.pid)}`, path: template });
    return await (isNarrow ? mocha(args, run) : everything(args, run));
  } finally {
    if (process.env.DATABASE_URL) await dropKept(services.databaseUrl, template);
    rmSync(folder, { recursive: true, force: true });
    await services.stop();
  }
}

async function everything(args: readonly string[], run: MochaRun): Promise<Ran> {
  const from = clock.elapsed();
  const times = join(run.folder, 'times');
  const machine = { cores: availableParallelism(), memoryBytes: process.availableMemory() };
  const { lanes, rest } = sharedOut(everyTest(), machine, expected());
  for (const { name, files, jobs } of lanes) say(`${name}: ${files.length} files, ${jobs} at once`);
  if (rest.length > 0) say(`then: ${rest.flat().length} files, in ${rest.length} batches`);
  const timed = { ...run, env: { ...run.env, MCPCTL_TEST_TIMES: times } };
  const takeRest = async (ran: Ran): Promise<Ran> => {
    const batch = rest.shift();
    return batch ? await takeRest(beside(ran, await mocha([...args, ...batch], timed))) : ran;
  };
  const ran = await Promise.all(
    lanes.map(async (lane) => {
      const own = await mocha([...args, ...argsOf(lane)], timed);
      const more = Array.from({ length: awakeOf(lane) }, () => takeRest({ code: 0, outcome: nothing }));
      return (await Promise.all(more)).reduce(beside, own);
    }),
  );
  const first = ran.reduce(beside);
  const again = first.code === 0 || !first.outcome ? [] : worthAnother(first.outcome, MOST_AGAIN);
  const last =
    again.length === 0 ? first : await onceMore(first, again, () => mocha([...args, ...again], run));
  const spent = readTimes(times);
  say(slowest(spent));
  if (args.length === 0 && last.outcome)
    writeReport({ wallMs: clock.elapsed() - from, outcome: last.outcome, times: spent });
  return last;
}

const everyTest = (): string[] =>
  readdirSync('test', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts'))
    .map((path) => join('test', path));

const argsOf = ({ jobs, files }: Lane): string[] => [
  ...(jobs > 1 ? ['--parallel', '--jobs', String(jobs)] : []),
  ...files,
];

/** Two that sleep leave the room of one. */
const awakeOf = ({ name, jobs }: Lane): number => (name === 'sleeping' ? 1 : jobs);

const nothing: Outcome = { files: {}, hung: false };

const beside = (a: Ran, b: Ran): Ran => ({
  code: a.code || b.code,
  outcome: a.outcome && b.outcome && together(a.outcome, b.outcome),
});

async function onceMore(first: Ran, files: readonly string[], run: () => Promise<Ran>): Promise<Ran> {
  say(`\nFailed, and run once more, alone: ${files.join(', ')}`);
  const second = await run();
  if (!first.outcome || !second.outcome) return second;
  const unsteady = files.filter((file) => second.outcome?.files[file]?.failed === 0);
  for (const file of unsteady)
    for (const title of first.outcome.files[file]?.failures ?? []) say(`UNSTEADY ${file}: ${title}`);
  return { code: second.code, outcome: replaced(first.outcome, second.outcome) };
}

interface MochaRun {
  env: Record<string, string>;
  /** For what it reports. */
  folder: string;
}

async function mocha(args: readonly string[], { env, folder }: MochaRun): Promise<Ran> {
  const report = join(mkdtempSync(join(folder, 'mocha-')), 'report.json');
  const argv = [
    ...(process.env.CI ? ['--forbid-only'] : []),
    ...['--reporter-option', `report=${report}`],
    ...args,
  ];
  const child = spawn(process.execPath, ['node_modules/mocha/bin/mocha.js', ...argv], {
    stdio: 'inherit',
    env: { ...process.env, ...env },
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
  return { code, outcome: readOutcome(report) };
}

try {
  const { code, outcome } = await run(process.argv.slice(2));
  process.exitCode = exitCodeOf(code, outcome);
  if (outcome) failures(outcome).forEach(say);
  process.stdout.write(`${outcome ? summary(outcome) : '0 passed, 1 failed, 0 skipped'}\n`);
} catch (thrown) {
  say(messageOf(thrown));
  process.stdout.write('0 passed, 1 failed, 0 skipped\n');
  process.exitCode = 1;
}
