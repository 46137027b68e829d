import { readFile } from 'node:fs/promises';
import { McpctlError, messageOf } from '../core/errors.ts';
import type { Home } from '../core/runtime/home.ts';
import { nearest } from '../core/runtime/nearest.ts';
import { readContexts, readCredentials, type Contexts } from './contexts-file.ts';

/** Options that every command takes. */
export interface GlobalOptions {
  server?: string | undefined;
  context?: string | undefined;
  tokenFile?: string | undefined;
}

/** The server a command talks to, and as whom. */
export interface Target {
  server: string;
  /** null: no token is known for this server. */
  token: string | null;
  /** Where the server came from, for `status`. */
  from: string;
}

export interface TargetSources {
  flags: GlobalOptions;
  env: { server?: string | undefined; token?: string | undefined };
  home: Home;
}

interface Pair {
  server: string;
  token: string;
  from: string;
  /** Used when nothing names a server: the current context, then the credentials. */
  byDefault: boolean;
}

/**
 * Flag > environment > the current context of cli.json > credentials. A stored token is sent to the server it
 * was stored for and to no other, wherever the server's name came from.
 * @throws McpctlError `unauthenticated` when no server is known, `usage` for a bad flag.
 */
export async function resolveTarget({ flags, env, home }: TargetSources): Promise<Target> {
  const contexts = await readContexts(home);
  const named = flags.context === undefined ? undefined : contextNamed(contexts, flags.context, home);
  const stored = await storedPairs(contexts, home);
  const first: Pick<Pair, 'server' | 'from'> | undefined =
    (flags.server === undefined ? undefined : { server: flags.server, from: '--server' }) ??
    named ??
    (env.server === undefined ? undefined : { server: env.server, from: 'MCPCTL_SERVER' }) ??
    stored.find((pair) => pair.byDefault);
  if (!first)
    throw new McpctlError(
      'unauthenticated',
      'No server is known. Run "npm start" on this machine, or "mcpctl login --server URL".',
    );
  const server = serverUrl(first.server, first.from);
  const ofServer = (pair: Pair): boolean => normal(pair.server) === server;
  const token =
    (flags.tokenFile === undefined ? undefined : await tokenIn(flags.tokenFile)) ??
    (named && ofServer(named) ? named.token : undefined) ??
    env.token ??
    stored.find(ofServer)?.token;
  return { server, token: token === undefined ? null : tokenText(token), from: first.from };
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
function serverUrl(text: string, from: string): string {
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

/** @param path a file that holds a token and nothing else. */
export async function tokenIn(path: string): Promise<string> {
  try {
    return tokenText(await readFile(path, 'utf8'));
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

function contextNamed(contexts: Contexts, name: string, home: Home): Pair {
  const found = Object.hasOwn(contexts.contexts, name) ? contexts.contexts[name] : undefined;
  if (found) return { ...found, from: `context ${name}`, byDefault: false };
  const names = Object.keys(contexts.contexts);
  const near = nearest(name, names, 1)[0];
  const hint = near
    ? `Did you mean ${near}?`
    : names.length > 0
      ? `There are: ${names.join(', ')}.`
      : 'There are none yet.';
  throw new McpctlError(
    'usage',
    `There is no context "${name}" in ${home.cli}. ${hint} "mcpctl login" makes one.`,
  );
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
