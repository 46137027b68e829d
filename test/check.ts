/**
 * `npm run check`: everything that must hold, in one go. It does not stop at the first fault. At its end it
 * prints how long each step took, then the tests' `N passed, N failed, N skipped` alone on the last line.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { systemClock as clock } from '../core/runtime/clock.ts';

interface Step {
  name: string;
  argv: readonly string[];
}

const bin = (name: string, ...args: string[]): string[] => [`node_modules/.bin/${name}`, ...args];

const steps: readonly Step[] = [
  { name: 'format', argv: bin('prettier', '--check', '--log-level=warn', '.') },
  { name: 'types', argv: bin('tsc', '--noEmit') },
  { name: 'lint', argv: bin('eslint', '--max-warnings=0', '.') },
  { name: 'boundaries', argv: bin('depcruise', '--config', '.dependency-cruiser.cjs', '.') },
  { name: 'dead code', argv: bin('knip', '--no-progress') },
  { name: 'dead code, production', argv: bin('knip', '--no-progress', '--production') },
  { name: 'tests', argv: [process.execPath, '--import', 'tsx', 'test/run.ts'] },
];

const summary = /^\d+ passed, \d+ failed, \d+ skipped$/;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** @returns its exit code and the last line that sums up tests, which is held back for the end. */
function run({ name, argv: [command = '', ...args] }: Step): Promise<{ code: number; tests?: string }> {
  say(`\n── ${name}`);
  const child = spawn(command, args, { stdio: ['inherit', 'pipe', 'inherit'] });
  let tests: string | undefined;
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (summary.test(line)) tests = line;
    else say(line);
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

for (const step of steps) {
  const from = clock.elapsed();
  const result = await run(step);
  if (result.tests !== undefined) tests = result.tests;
  if (result.code !== 0) failed += 1;
  rows.push(`${result.code === 0 ? 'ok    ' : 'FAILED'} ${seconds(from)}  ${step.name}`);
}
say(`\n${rows.join('\n')}\n${failed === 0 ? 'ok    ' : 'FAILED'} ${seconds(begun)}  in all`);
say(tests);
process.exitCode = failed === 0 ? 0 : 1;
