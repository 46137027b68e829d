import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Say } from '../server.ts';

const COMMAND_MS = 5 * 60_000;

/**
 * Runs a command to its end and shows its lines, indented.
 * @returns its exit code; 127 when it could not be run, 137 when it took more than five minutes.
 */
export function runVisibly(argv: readonly string[], say: Say): Promise<number> {
  const [command = '', ...args] = argv;
  say(`  $ ${argv.join(' ')}`);
  return new Promise((resolve) => {
    // Standard input stays the terminal's: sudo may have to ask.
    const child = spawn(command, args, { stdio: ['inherit', 'pipe', 'pipe'], timeout: COMMAND_MS });
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => say(`    ${line}`));
    }
    child.on('error', (error) => {
      say(`    ${error.message}`);
      resolve(127);
    });
    child.on('close', (code) => resolve(code ?? 137));
  });
}
