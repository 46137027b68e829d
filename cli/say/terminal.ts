import type { Readable, Writable } from 'node:stream';

/** The three streams of a command, and what a person sees of each. Built once, by main. */
export interface Terminal {
  stdin: Readable & { setRawMode?: (on: boolean) => unknown };
  stdout: Writable;
  stderr: Writable;
  /** Whether a person is at that stream; each is judged on its own. */
  tty: { stdin: boolean; stdout: boolean; stderr: boolean };
  /** Whether escape codes may be written there. */
  colour: { stdout: boolean; stderr: boolean };
  /** Whether the terminal understands cursor movement (`TERM=dumb` does not). */
  cursor: boolean;
  /** Size of the terminal now; 0 where there is none. */
  size: () => { columns: number; rows: number };
  /** Run when the process ends however it does: what puts the terminal back as it was. */
  leaving: Set<() => void>;
}

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Colour on a terminal only. `--no-color`, a non-empty `NO_COLOR` and `TERM=dumb` turn it off, a non-empty
 * `FORCE_COLOR` or `CLICOLOR_FORCE` (but `0`) turns it on in a pipe too.
 */
export function mayColour(env: Env, tty: boolean): boolean {
  if (env['NO_COLOR']) return false;
  const forced = env['FORCE_COLOR'] ?? env['CLICOLOR_FORCE'];
  if (forced !== undefined && forced !== '') return forced !== '0';
  return tty && env['TERM'] !== 'dumb';
}
