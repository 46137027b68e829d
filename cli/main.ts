#!/usr/bin/env node
import { systemClock } from '../core/runtime/clock.ts';
import { failureOf } from './exit.ts';
import { createInterrupts } from './interrupts.ts';
import { packageVersion } from './package-version.ts';
import { runProgram } from './program/run-program.ts';
import { mayColour, type Terminal } from './say/terminal.ts';

const { stdin, stdout, stderr, env, argv } = process;
const quiet = argv.includes('--no-color');
const isTty = (stream: { isTTY?: boolean }): boolean => stream.isTTY === true;

const terminal: Terminal = {
  stdin,
  stdout,
  stderr,
  tty: { stdin: isTty(stdin), stdout: isTty(stdout), stderr: isTty(stderr) },
  colour: {
    stdout: !quiet && mayColour(env, isTty(stdout)),
    stderr: !quiet && mayColour(env, isTty(stderr)),
  },
  cursor: env['TERM'] !== undefined && env['TERM'] !== 'dumb',
  size: () => ({ columns: stdout.columns ?? stderr.columns ?? 0, rows: stdout.rows ?? stderr.rows ?? 0 }),
  leaving: new Set(),
};
process.on('exit', () => {
  for (const undo of terminal.leaving) undo();
});

// The reader of a pipe has left ("mcpctl get llm | head -1"): nothing more to say, and no failure.
for (const stream of [stdout, stderr])
  stream.on('error', (thrown: NodeJS.ErrnoException) => process.exit(thrown.code === 'EPIPE' ? 0 : 1));

const interrupts = createInterrupts();
process.on('SIGINT', () => {
  if (interrupts.fire() === 'again') process.exit(2);
});
process.on('SIGTERM', () => process.exit(143));
// What Node prints by itself of what nobody caught has all that hangs on it, a token too.
process.on('uncaughtException', (thrown) => {
  stderr.write(failureOf(thrown).text, () => process.exit(1));
});

const systemFile = '/etc/mcpctl/cli.json';
const deps = {
  terminal,
  clock: systemClock,
  interrupts,
  version: packageVersion(),
  env,
  cwd: process.cwd(),
  systemFile,
};
/** Everything written must be out before the process ends. */
const leave = (exitCode: number): void =>
  void stdout.write('', () => stderr.write('', () => process.exit(exitCode)));
// No await here: the single file is CommonJS, which has none at its top.
runProgram(deps, argv.slice(2)).then(
  () => leave(0),
  (thrown: unknown) => {
    const failure = failureOf(thrown);
    stderr.write(failure.text);
    leave(failure.exitCode);
  },
);
