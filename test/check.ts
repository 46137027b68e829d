/**
 * `npm run check`: everything that must hold, in one go. It does not stop at the first fault. The attacks come first, as
 * the tests would feel them; then the tests. Beside both, at the lowest priority, runs what only reads: of the
 * attacks harm alone counts here, and no time. At its end it prints how long each step took, then the tests' `N passed, N failed, N skipped` alone on the last line.
 */
import { spawn } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { createInterface } from 'node:readline';
import { systemClock as clock } from '../core/runtime/clock.ts';

interface Step {
  name: string;
  argv: readonly string[];
}

const bin = (name: string, ...args: string[]): string[] => [`node_modules/.bin/${name}`, ...args];

const attacking: Step = {
  name: 'hostile',
  argv: [process.execPath, '--import', 'tsx', 'test/hostile/main.ts', '--harm'],
};
const testing: Step = { name: 'tests', argv: [process.execPath, '--import', 'tsx', 'test/run.ts'] };
/** The longest first. */
const reading: readonly Step[] = [
  { name: 'lint', argv: bin('oxlint') },
  { name: 'types', argv: [process.execPath, 'node_modules/typescript-7/bin/tsc', '--noEmit'] },
  {
    name: 'types of the page',
    argv: [process.execPath, 'node_modules/typescript-7/bin/tsc', '--noEmit', '-p', 'web'],
  },
  { name: 'format', argv: [process.execPath, '--import', 'tsx', 'test/format.ts'] },
  { name: 'boundaries', argv: bin('depcruise', '--config', '.dependency-cruiser.cjs', '.') },
  { name: 'dead code', argv: bin('knip', '--no-progress') },
  { name: 'dead code, production', argv: bin('knip', '--no-progress', '--production') },
  { name: 'licences', argv: [process.execPath, '--import', 'tsx', 'test/licences.ts'] },
  { name: 'fuzz', argv: [process.execPath, '--import', 'tsx', 'test/fuzz/main.ts', '--seconds', '15'] },
];

/** What `npm test` prints of each test that failed, and of those that failed only beside others. */
const verdict = /^(?:FAILED|UNSTEADY) /;
const summary = /^\d+ passed, \d+ failed, \d+ skipped$/;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

interface How {
  show: typeof say;
  /** With what the others leave of the machine. */
  beside: boolean;
}

/**
 * A step that failed is told once more beside the sum, by this many of its last lines, or of the tests' verdicts; each
 * cut to a length: what is far above may be cut off.
 */
const LAST_LINES = 6;
const SHOWN_VERDICTS = 12;
const VERDICT_CHARS = 200;

interface Ended {
  code: number;
  /** The line that sums up tests, which is held back for the end. */
  tests?: string;
  lastLines: readonly string[];
  verdicts: readonly string[];
}

function run({ argv: [command = '', ...args] }: Step, { show, beside }: How): Promise<Ended> {
  const child = spawn(command, args, { stdio: ['inherit', 'pipe', 'pipe'] });
  if (beside && child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW);
  let tests: string | undefined;
  const lastLines: string[] = [];
  const verdicts: string[] = [];
  const hear = (line: string): void => {
    show(line);
    if (line.trim() === '') return;
    if (verdict.test(line)) verdicts.push(line);
    lastLines.push(line);
    if (lastLines.length > LAST_LINES) lastLines.shift();
  };
  createInterface({ input: child.stderr }).on('line', hear);
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (summary.test(line)) tests = line;
    else hear(line);
  });
  return new Promise((resolve) => {
    child.on('error', (error) => {
      hear(error.message);
      resolve({ code: 127, lastLines, verdicts });
    });
    child.on('close', (code) =>
      resolve({ code: code ?? 1, lastLines, verdicts, ...(tests === undefined ? {} : { tests }) }),
    );
  });
}

// Ctrl-C reaches the steps by themselves; we only stay to say what was done.
process.on('SIGINT', () => undefined);

const rows: string[] = [];
const faults: string[] = [];
let failed = 0;
let tests = '0 passed, 1 failed, 0 skipped';
const begun = clock.elapsed();
const seconds = (from: number): string => `${((clock.elapsed() - from) / 1000).toFixed(1)} s`.padStart(8);

async function one(step: Step, how: How): Promise<void> {
  const from = clock.elapsed();
  const result = await run(step, how);
  if (result.tests !== undefined) tests = result.tests;
  if (step === testing) faults.push(...shortened(result.verdicts));
  if (result.code !== 0) {
    failed += 1;
    if (step !== testing) faults.push(`${step.name} failed:`, ...result.lastLines.map((line) => `  ${line}`));
  }
  rows.push(`${result.code === 0 ? 'ok    ' : 'FAILED'} ${seconds(from)}  ${step.name}`);
}

function shortened(verdicts: readonly string[]): string[] {
  const shown = verdicts.slice(0, SHOWN_VERDICTS).map((line) => line.slice(0, VERDICT_CHARS));
  const left = verdicts.length - shown.length;
  return left === 0 ? shown : [...shown, `… and ${String(left)} more, above`];
}

/** What each says is shown when it has ended. */
async function readBeside(): Promise<void> {
  for (const step of reading) {
    const lines: string[] = [];
    await one(step, { show: (line) => void lines.push(line), beside: true });
    say(`\n── ${step.name}`);
    lines.forEach(say);
  }
}

const read = readBeside();
for (const step of [attacking, testing]) {
  say(`\n── ${step.name}`);
  await one(step, { show: say, beside: false });
}
await read;
say(`\n${[...faults, ...rows].join('\n')}\n${failed === 0 ? 'ok    ' : 'FAILED'} ${seconds(begun)}  in all`);
say(tests);
process.exitCode = failed === 0 ? 0 : 1;
