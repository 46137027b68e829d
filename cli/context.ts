import type { Clock } from '../core/runtime/clock.ts';
import type { Home } from '../core/runtime/home.ts';
import type { Client } from './client.ts';
import type { Interrupts } from './interrupts.ts';
import { createOutput, type Output } from './output.ts';
import type { GlobalOptions, Target } from './target.ts';
import type { Terminal } from './terminal.ts';

/** What a command may use. What costs time to load is a function, so that `--help` loads none of it. */
export interface Context {
  terminal: Terminal;
  out: Output;
  clock: Clock;
  interrupts: Interrupts;
  /** This program's own version. */
  version: string;
  globals: () => GlobalOptions;
  home: () => Promise<Home>;
  /** Which server and token: flag > environment > cli.json > credentials. */
  target: (flags?: GlobalOptions) => Promise<Target>;
  /** @throws McpctlError `unauthenticated` when no server or token is known. */
  client: () => Promise<Client>;
  /** A client of that target, for `login`, which has it before it is stored. */
  clientFor: (target: Target & { token: string }) => Promise<Client>;
}

export interface ContextDeps {
  terminal: Terminal;
  clock: Clock;
  interrupts: Interrupts;
  version: string;
  env: Readonly<Record<string, string | undefined>>;
  globals: () => GlobalOptions;
}

export function createContext({ env, globals, ...deps }: ContextDeps): Context {
  const out = createOutput(deps.terminal);

  const settings = async () => {
    const { readConfig } = await import('../core/runtime/config.ts');
    return readConfig(env, ['home', 'server', 'token', 'debug']);
  };
  const home = async (): Promise<Home> => {
    const { homeAt } = await import('../core/runtime/home.ts');
    return homeAt((await settings()).home);
  };
  const target = async (flags = globals()): Promise<Target> => {
    const { resolveTarget } = await import('./target.ts');
    const { server, token } = await settings();
    return resolveTarget({ flags, env: { server, token }, home: await home() });
  };
  const clientFor = async (at: Target & { token: string }): Promise<Client> => {
    const [{ createClient }, { createHttp }] = await Promise.all([
      import('./client.ts'),
      import('./http.ts'),
    ]);
    const { debug } = await settings();
    const trace = debug === 'api' ? (line: string): void => out.note(line) : (): void => undefined;
    const { clock, version, interrupts } = deps;
    return createClient(createHttp({ ...at, clock, version, trace, signal: interrupts.signal }));
  };
  const client = async (): Promise<Client> => {
    const { authenticated } = await import('./target.ts');
    return clientFor(authenticated(await target()));
  };
  return { ...deps, out, globals, home, target, client, clientFor };
}
