import { McpctlError, messageOf } from '../../core/errors.ts';
import { readNamed } from '../../core/runtime/files/named-file.ts';
import type { Home } from '../../core/runtime/files/home.ts';
import { contextNamed, readContexts, readCredentials, type Contexts } from './contexts-file.ts';
import { readProjectFile, readSystemFile } from './defaults-file.ts';

/** Options that every command takes. */
export interface GlobalOptions {
  server?: string | undefined;
  context?: string | undefined;
  tokenFile?: string | undefined;
  /** A PEM file with further certificate authorities. */
  caFile?: string | undefined;
  /** Whom calls are made as. */
  as?: string | undefined;
  /** Calls are traced on stderr. */
  verbose?: boolean | undefined;
  /** false: nobody is asked anything. */
  input?: boolean | undefined;
}

/** The server a command talks to, and as whom. */
export interface Target {
  server: string;
  /** null: no token is known for this server. */
  token: string | null;
  /** Where the server came from, for `status`. */
  from: string;
  /** Where the token came from; null where there is none. */
  tokenFrom: string | null;
}

export interface TargetSources {
  flags: GlobalOptions;
  env: { server?: string | undefined; token?: string | undefined; context?: string | undefined };
  home: Home;
  cwd: string;
  systemFile: string;
}

interface Pair {
  server: string;
  token: string;
  from: string;
  /** Used when nothing names a server: the current context, then the credentials. */
  byDefault: boolean;
}

/**
 * Flag > environment > the project's file > the current context of cli.json > credentials > the system's file.
 * A stored token is sent to the server it was stored for and to no other, wherever the server's name came from.
 * @throws McpctlError `unauthenticated` when no server is known, `usage` for a bad flag.
 */
export async function resolveTarget(sources: TargetSources): Promise<Target> {
  const { flags, env, home } = sources;
  const contexts = await readContexts(home);
  const pairOf = (name: string, where = ''): Pair => ({
    ...contextNamed(contexts, name, home),
    from: `context ${name}${where}`,
    byDefault: false,
  });
  const flagged = flags.context === undefined ? undefined : pairOf(flags.context);
  const stored = await storedPairs(contexts, home);
  const first =
    (flags.server === undefined ? undefined : { server: flags.server, from: '--server' }) ??
    flagged ??
    (env.server === undefined ? undefined : { server: env.server, from: 'MCPCTL_SERVER' }) ??
    (env.context === undefined ? undefined : pairOf(env.context, ', MCPCTL_CONTEXT')) ??
    (await otherwise(sources, { pairOf, stored }));
  const server = serverUrl(first.server, first.from);
  const ofServer = (pair: Pair): boolean => normal(pair.server) === server;
  // Of two contexts of one server, the one that was named speaks.
  const chosen = 'token' in first && ofServer(first) ? first : undefined;
  const keeper = chosen ?? stored.find(ofServer);
  const called =
    (flags.tokenFile === undefined
      ? undefined
      : { token: await tokenIn(flags.tokenFile), from: '--token-file' }) ??
    (flagged && ofServer(flagged) ? flagged : undefined) ??
    (env.token === undefined ? undefined : { token: env.token, from: 'MCPCTL_TOKEN' }) ??
    keeper;
  return {
    server,
    token: called === undefined ? null : tokenText(called.token),
    from: first.from,
    tokenFrom: called?.from ?? null,
  };
}

/** What neither a flag nor the environment says. @throws McpctlError `unauthenticated`. */
async function otherwise(
  { cwd, systemFile }: TargetSources,
  { pairOf, stored }: { pairOf: (name: string, where: string) => Pair; stored: readonly Pair[] },
): Promise<Pair | { server: string; from: string }> {
  const project = readProjectFile(cwd);
  if (project) return pairOf(project.context, `, ${project.path}`);
  const own = stored.find((pair) => pair.byDefault);
  if (own) return own;
  const system = readSystemFile(systemFile);
  if (system) return { server: system.server, from: systemFile };
  throw new McpctlError(
    'unauthenticated',
    'No server is known. Run "npm start" on this machine, or "mcpctl login --server URL".',
  );
}

/** @throws McpctlError `unauthenticated`, with the sentence that mends it. */
export function authenticated(target: Target): Target & { token: string } {
  if (target.token !== null) return { ...target, token: target.token };
  throw new McpctlError(
    'unauthenticated',
    `No token is known for ${target.server}. Run "mcpctl login --server ${target.server}", or set MCPCTL_TOKEN.`,
  );
}

/** `http://host:port[/base]`, without a slash at its end. @throws McpctlError `usage`. */
export function serverUrl(text: string, from: string): string {
  const url = normal(text);
  if (url !== null) return url;
  throw new McpctlError(
    'usage',
    `${from}: "${text}" is not a server's URL; write it like http://127.0.0.1:3100`,
  );
}

function normal(text: string): string | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !/^https?:$/.test(url.protocol)) return null;
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') return null;
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

/** More than fits into a header. */
const MOST_TOKEN_BYTES = 64 * 1024;

/** @param path a file that holds a token and nothing else. */
export async function tokenIn(path: string): Promise<string> {
  try {
    return tokenText((await readNamed(path, { most: MOST_TOKEN_BYTES })).toString());
  } catch (thrown) {
    if (thrown instanceof McpctlError) throw thrown;
    throw new McpctlError('usage', `--token-file: ${path} cannot be read: ${messageOf(thrown)}`);
  }
}

/** Trimmed, and fit for a header. @throws McpctlError `usage`. */
export function tokenText(text: string): string {
  const token = text.trim();
  if (!/^[\x21-\x7e]{1,4096}$/.test(token))
    throw new McpctlError('usage', 'That is not a token: it must be one word of printable ASCII.');
  return token;
}

async function storedPairs(contexts: Contexts, home: Home): Promise<Pair[]> {
  const all = Object.entries(contexts.contexts).map(([name, c]): Pair => ({
    ...c,
    from: `context ${name}`,
    byDefault: name === contexts.current,
  }));
  const credentials = await readCredentials(home);
  const last: Pair[] = credentials
    ? [{ server: credentials.mcpdUrl, token: credentials.token, from: home.credentials, byDefault: true }]
    : [];
  return [...all.filter((c) => c.byDefault), ...last, ...all.filter((c) => !c.byDefault)];
}
