import { CommanderError } from 'commander';
import { entryOf, McpctlError, messageOf } from '../core/errors.ts';
import { plain } from '../core/runtime/plain.ts';

/** Exit codes, also in `mcpctl help exit-codes`: 0 ok, 1 failed, 2 usage or cancelled, 3 the answer is no, 4 not authenticated, 5 a tool says that it failed. */
export type ExitCode = 0 | 1 | 2 | 3 | 4 | 5;

/** The person said stop: Ctrl-C, or "no" to a question. */
export class Cancelled extends Error {
  constructor(message = 'Cancelled.') {
    super(message);
    this.name = 'Cancelled';
  }
}

/** What was wrong has been said already, item by item; only the code is left. */
export class AlreadySaid extends Error {
  readonly exitCode: ExitCode;
  constructor(exitCode: ExitCode) {
    super('Already said.');
    this.name = 'AlreadySaid';
    this.exitCode = exitCode;
  }
}

export interface Failure {
  exitCode: ExitCode;
  /** For stderr; empty when it was said already. */
  text: string;
}

/** The one place where an error becomes an exit code and words. */
export function failureOf(thrown: unknown): Failure {
  if (thrown instanceof AlreadySaid) return { exitCode: thrown.exitCode, text: '' };
  if (thrown instanceof Cancelled) return { exitCode: 2, text: `${thrown.message}\n` };
  // commander has written its own message, or the help that was asked for.
  if (thrown instanceof CommanderError) return { exitCode: thrown.exitCode === 0 ? 0 : 2, text: '' };
  if (thrown instanceof McpctlError) return { exitCode: entryOf(thrown.code).exit, text: sentence(thrown) };
  return {
    exitCode: 1,
    text: `Error: ${plain(messageOf(thrown))}\nThis is a fault of mcpctl itself; please report it.\n`,
  };
}

function sentence(error: McpctlError): string {
  const details = (error.details ?? [])
    .map((d) => `  ${d.path || '(body)'}: ${d.message}`)
    // Those of the environment and of files are in the message already.
    .filter((line) => !error.message.split('\n').includes(line))
    .map((line) => `${line}\n`)
    .join('');
  const task = error.taskId === undefined ? '' : `Its task: ${error.taskId}\n`;
  return plain(`Error: ${error.message} (${error.code})\n${details}${task}`);
}
