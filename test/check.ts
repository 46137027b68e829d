/**
 * `npm run check`: everything that must hold, in one go. It does not stop at the first fault. What measures runs alone;
 * then the tests, which wait more than they compute, and beside them, at the lowest priority, what only reads. At its
 * end it prints how long each step took, then the tests' `N passed, N failed, N skipped` alone on the last line.
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

const measuring: Step = {
  name: 'hostile',
  argv: [process.execPath, '--import', 'tsx', 'test/hostile/main.ts', '--harm'],
};
const testing: Step = { name: 'tests', argv: [process.execPath, '--import', 'tsx', 'test/run.ts'] };
const reading: readonly Step[] = [
  { name: 'types', argv: bin('tsc', '--noEmit') },
  { name: 'lint', argv: bin('eslint', '--max-warnings=0', '.') },
  { name: 'format', argv: bin('prettier', '--check', '--log-level=warn', '.') },
  { name: 'boundaries', argv: bin('depcruise', '--config', '.dependency-cruiser.cjs', '.') },
  { name: 'dead code', argv: bin('knip', '--no-progress') },
  { name: 'dead code, production', argv: bin('knip', '--no-progress', '--production') },
  { name: 'licences', argv: [process.execPath, '--import', 'tsx', 'test/licences.ts'] },
  { name: 'fuzz', argv: [process.execPath, '--import', 'tsx', 'test/fuzz/main.ts', '--seconds', '40'] },
];

const summary = /^\d+ passed, \d+ failed, \d+ skipped$/;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

interface How {
  show: typeof say;
  /** With what the others leave of the machine. */
  beside: boolean;
}

/** @returns its exit code and the last line that sums up tests, which is held back for the end. */
function run(
  { argv: [command = '', ...args] }: Step,
  { show, beside }: How,
): Promise<{ code: number; tests?: string }> {
  const child = spawn(command, args, { stdio: ['inherit', 'pipe', 'pipe'] });
  if (beside && child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW);
  let tests: string | undefined;
  createInterface({ input: child.stderr }).on('line', show);
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (summary.test(line)) tests = line;
    else show(line);
  });
  return new Promise((resolve) => {
    child.on('error', (error) => {
      say(error.message);
      resolve({ code: 127 });
    });
    child.on('close', (code) => resolve({ code: code ?? 1, ...(tests === undefined ? {} : { tests }) }));
  });
}

// Ctrl-C reaches the steps by themselves; we only stay to say what was done.
process.on('SIGINT', () => undefined);

const rows: string[] = [];
let failed = 0;
let tests = '0 passed, 1 failed, 0 skipped';
const begun = clock.elapsed();
const seconds = (from: number): string => `${((clock.elapsed() - from) / 1000).toFixed(1)} s`.padStart(8);

async function one(step: Step, how: How): Promise<void> {
  const from = clock.elapsed();
  const result = await run(step, how);
  if (result.tests !== undefined) tests = result.tests;
  if (result.code !== 0) failed += 1;
  rows.push(`${result.code === 0 ? 'ok    ' : 'FAILED'} ${seconds(from)}  ${step.name}`);
}

/** One after the other; what each says is shown when it has ended. */
async function beside(steps: readonly Step[]): Promise<void> {
  for (const step of steps) {
    const lines: string[] = [];
    await one(step, { show: (line) => void lines.push(line), beside: true });
    say(`\n── ${step.name}`);
    lines.forEach(say);
  }
}

say(`\n── ${measuring.name}`);
await one(measuring, { show: say, beside: false });
say(`\n── ${testing.name}`);
await Promise.all([one(testing, { show: say, beside: false }), beside(reading)]);
say(`\n${rows.join('\n')}\n${failed === 0 ? 'ok    ' : 'FAILED'} ${seconds(begun)}  in all`);
say(tests);
process.exitCode = failed === 0 ? 0 : 1;
