import { join } from 'node:path';
import { anySignal } from '../../core/runtime/any-signal.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Home } from '../../core/runtime/files/home.ts';
import type { Client } from '../net/client.ts';
import type { Http } from '../net/http.ts';
import type { Interrupts } from '../interrupts.ts';
import { createOutput, type Output } from '../say/output.ts';
import type { GlobalOptions, Target } from './target.ts';
import type { Terminal } from '../say/terminal.ts';

/** What a command may use. What costs time to load is a function, so that `--help` loads none of it. */
export interface Context {
  terminal: Terminal;
  out: Output;
  clock: Clock;
  interrupts: Interrupts;
  /** This program's own version. */
  version: string;
  /** Where the person stands. */
  cwd: string;
  globals: () => GlobalOptions;
  home: () => Promise<Home>;
  /** The program in which a person edits a text, with its arguments. */
  editor: () => Promise<string>;
  /** A variable that the person names; the program's own are settings. */
  variable: (name: string) => string | undefined;
  /** Which server and token: flag > environment > project file > cli.json > credentials > the system's file. */
  target: (flags?: GlobalOptions) => Promise<Target>;
  /**
   * @param how with `patienceMs`, calls that may be repeated are, for so long, while the server is away or full.
   * @throws McpctlError `unauthenticated` when no server or token is known.
   */
  client: (how?: { patienceMs?: number | undefined }) => Promise<Client>;
  /** The same, for who says the calls himself. */
  http: (how?: { patienceMs?: number | undefined }) => Promise<Http>;
  /** Calls without a token, of what a server says to anybody. */
  strangerTo: (server: string) => Promise<Http>;
  /** A client of that target, as whose the token is, for `login`, which has it before it is stored. Its calls end with the signal. */
  clientFor: (target: Target & { token: string }, signal?: AbortSignal) => Promise<Client>;
}

/** An open answer that carries nothing for so long is given up: the edge writes every 15 s. */
const SILENCE_MS = 5 * 60_000;

export interface ContextDeps {
  terminal: Terminal;
  clock: Clock;
  interrupts: Interrupts;
  version: string;
  env: Readonly<Record<string, string | undefined>>;
  /** Where the person stands: a project's file is looked for from there upwards. */
  cwd: string;
  /** What the machine's operator has said for everybody on it. */
  systemFile: string;
  globals: () => GlobalOptions;
}

function environmentOf(env: ContextDeps['env']) {
  const settings = async () => {
    const [{ readConfig }, { withProxies }] = await Promise.all([
      import('../../core/runtime/settings/config.ts'),
      import('../../core/runtime/settings/network.ts'),
    ]);
    return readConfig(withProxies(env), [
      'home',
      'server',
      'token',
      'cliContext',
      'cliFile',
      'cacheHome',
      'debug',
      'httpProxy',
      'httpsProxy',
      'noProxy',
      'caFile',
      'nodeCaFile',
      'visual',
      'editor',
    ]);
  };
  const home = async (): Promise<Home> => {
    const { homeAt } = await import('../../core/runtime/files/home.ts');
    const settled = await settings();
    const at = homeAt(settled.home);
    const cache = settled.cacheHome === undefined ? at.cache : join(settled.cacheHome, 'mcpctl');
    return { ...at, cli: settled.cliFile ?? at.cli, cache };
  };
  return { settings, home };
}

/** Says waits; short lines that follow each other take each other's place on a terminal. */
function waitsSaid({
  terminal,
  out,
}: Pick<Context, 'terminal' | 'out'>): (line: string, nth: number) => void {
  const { tty, cursor, stderr } = terminal;
  return (line, nth) => {
    if (nth > 1 && tty.stderr && cursor) stderr.write('\x1b[1A\r\x1b[K');
    out.note(line);
  };
}

export function createContext({ env, cwd, systemFile, globals, ...deps }: ContextDeps): Context {
  const out = createOutput(deps.terminal);
  const { settings, home } = environmentOf(env);
  const target = async (flags = globals()): Promise<Target> => {
    const { resolveTarget } = await import('./target.ts');
    const { server, token, cliContext } = await settings();
    return resolveTarget({
      flags,
      env: { server, token, context: cliContext },
      home: await home(),
      cwd,
      systemFile,
    });
  };
  const httpFor = async (
    at: Pick<Target, 'server' | 'token' | 'tokenFrom'>,
    {
      until,
      as,
      patienceMs,
    }: { until?: AbortSignal; as?: string | undefined; patienceMs?: number | undefined } = {},
  ): Promise<Http> => {
    (await import('../../core/runtime/process/small-heap.ts')).compileParserOnce(); // before undici is there
    const [{ createHttp }, { openNetwork }] = await Promise.all([
      import('../net/http.ts'),
      import('../../core/runtime/network/network.ts'),
    ]);
    const { debug, ...settled } = await settings();
    const network = openNetwork(
      { ...settled, caFile: globals().caFile ?? settled.caFile },
      { reuse: true, silenceMs: SILENCE_MS },
    );
    const traced = debug === 'api' || globals().verbose === true;
    const trace = traced ? (line: string): void => out.note(line) : (): void => undefined;
    const { clock, version, interrupts } = deps;
    const signal = until ? anySignal([interrupts.signal, until]) : interrupts.signal;
    const patience =
      patienceMs === undefined ? {} : { patience: { ms: patienceMs, say: waitsSaid({ ...deps, out }) } };
    return createHttp({ ...at, as, network, clock, version, trace, signal, ...patience });
  };
  const editor = async (): Promise<string> => {
    const settled = await settings();
    return settled.visual ?? settled.editor ?? 'vi';
  };
  const http = async (how: { patienceMs?: number | undefined } = {}): Promise<Http> => {
    const { authenticated } = await import('./target.ts');
    return httpFor(authenticated(await target()), { as: globals().as, ...how });
  };
  const clientOf = async (of: Promise<Http>): Promise<Client> => {
    const { createClient } = await import('../net/client.ts');
    return createClient(await of);
  };
  const clientFor: Context['clientFor'] = (at, until) => clientOf(httpFor(at, until ? { until } : {}));
  const strangerTo: Context['strangerTo'] = (server) => httpFor({ server, token: null, tokenFrom: null });
  const client: Context['client'] = (how) => clientOf(http(how));
  const variable = (name: string): string | undefined => (Object.hasOwn(env, name) ? env[name] : undefined);
  const ways = { target, http, client, clientFor, strangerTo };
  return { ...deps, cwd, variable, out, globals, home, editor, ...ways };
}
