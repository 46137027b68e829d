import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { systemClock } from '../../core/runtime/clock.ts';
import { createContext, type Context } from '../../cli/who/context.ts';
import { createInterrupts, type Interrupts } from '../../cli/interrupts.ts';
import type { Terminal } from '../../cli/say/terminal.ts';

export interface SessionOptions {
  /** Which streams a person is at; none. */
  tty?: Partial<Terminal['tty']>;
  colour?: boolean;
  env?: Record<string, string>;
  rows?: number;
  /** Of the terminal; 100. */
  columns?: number;
  /** Where it is run; its home. */
  cwd?: string;
}

/** mcpctl in this process: real parsing, real HTTP, streams that a test can read and write. */
export interface Session {
  home: string;
  out: () => string;
  err: () => string;
  stdin: PassThrough;
  terminal: Terminal;
  interrupts: Interrupts;
  /** @returns the exit code, as main would leave with. */
  run(...args: string[]): Promise<number>;
  /** For the parsing tests of one command. */
  context: Context;
  close(): Promise<void>;
}

/** What the program is made of, with nothing in its environment. */
export const programDeps = ({ terminal, interrupts }: Pick<Session, 'terminal' | 'interrupts'>) => ({
  terminal,
  interrupts,
  clock: systemClock,
  version: '0',
  env: {},
  cwd: '/',
  systemFile: '',
});

class Sink extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

export async function startSession(server: string | null, options: SessionOptions = {}): Promise<Session> {
  // The program loads its parts with `import()`; loaded the same way here, each module is there once.
  const [{ runProgram }, { failureOf }] = await Promise.all([
    import('../../cli/program/run-program.ts'),
    import('../../cli/exit.ts'),
  ]);
  const home = await mkdtemp(join(tmpdir(), 'mcpctl-cli-'));
  const [stdout, stderr, stdin] = [new Sink(), new Sink(), new PassThrough()];
  const colour = options.colour ?? false;
  const terminal: Terminal = {
    stdin,
    stdout,
    stderr,
    tty: { stdin: false, stdout: false, stderr: false, ...options.tty },
    colour: { stdout: colour, stderr: colour },
    cursor: options.rows !== undefined,
    size: () => ({ columns: options.columns ?? 100, rows: options.rows ?? 0 }),
    leaving: new Set(),
  };
  const account = server === null ? {} : { MCPCTL_SERVER: server, MCPCTL_TOKEN: 'secret-token' };
  const env: Record<string, string> = { MCPCTL_HOME: home, ...account, ...options.env };
  const interrupts = createInterrupts();
  const deps = {
    terminal,
    clock: systemClock,
    interrupts,
    version: '0.1.0',
    env,
    cwd: options.cwd ?? home,
    systemFile: join(home, 'system.json'),
  };
  return {
    home,
    out: () => stdout.text,
    err: () => stderr.text,
    stdin,
    terminal,
    interrupts,
    async run(...args) {
      try {
        await runProgram(deps, args);
        return 0;
      } catch (thrown) {
        const { exitCode, text } = failureOf(thrown);
        stderr.write(text);
        return exitCode;
      }
    },
    context: createContext({ ...deps, globals: () => ({}) }),
    close: () => rm(home, { recursive: true, force: true }),
  };
}
