import { writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { McpctlError, messageOf } from '../../core/errors.ts';
import type { Home } from '../../core/runtime/files/home.ts';
import { readPlainFile } from '../../core/runtime/files/plain-file.ts';
import { nearest } from '../../core/runtime/nearest.ts';
import { refuseForeign, writePrivately } from '../../core/runtime/files/private-file.mjs';

const contextSchema = z.object({ server: z.string(), token: z.string() });
const contextsSchema = z.object({
  current: z.string().nullable().default(null),
  contexts: z.record(z.string(), contextSchema).default({}),
});
/** `$MCPCTL_HOME/cli.json`, written by `mcpctl login`, `logout` and `config`. */
export type Contexts = z.infer<typeof contextsSchema>;

const credentialsSchema = z.object({ mcpdUrl: z.string(), token: z.string() });
/** `$MCPCTL_HOME/credentials`, written by `npm start`; the worker's, and the CLI's last resort. */
export type Credentials = z.infer<typeof credentialsSchema>;

/** @returns no contexts when the file is not there. @throws McpctlError `invalid_config`. */
export async function readContexts(home: Home): Promise<Contexts> {
  return readJson(home.cli, contextsSchema) ?? { current: null, contexts: {} };
}

/** @throws McpctlError `usage`, with the nearest one, or those that are there. */
export function contextNamed(
  contexts: Contexts,
  name: string,
  home: Pick<Home, 'cli'>,
): z.infer<typeof contextSchema> {
  const context = Object.hasOwn(contexts.contexts, name) ? contexts.contexts[name] : undefined;
  if (context) return context;
  const names = Object.keys(contexts.contexts);
  const near = nearest(name, names, 1)[0];
  const there = names.length > 0 ? `There are: ${names.join(', ')}.` : 'There are none yet.';
  const hint = near ? `Did you mean ${near}?` : there;
  throw new McpctlError(
    'usage',
    `There is no context "${name}" in ${home.cli}. ${hint} "mcpctl login" makes one.`,
  );
}

/** Without that one, and without a current one where it was that. @throws McpctlError `usage`. */
export function withoutContext(contexts: Contexts, name: string, home: Pick<Home, 'cli'>): Contexts {
  contextNamed(contexts, name, home);
  const rest = Object.entries(contexts.contexts).filter(([other]) => other !== name);
  return { current: contexts.current === name ? null : contexts.current, contexts: Object.fromEntries(rest) };
}

export async function readCredentials(home: Home): Promise<Credentials | null> {
  return readJson(home.credentials, credentialsSchema);
}

/** Replaces the file as a whole, readable by its owner only. @throws McpctlError `invalid_config`. */
export function writeContexts(home: Home, contexts: Contexts): void {
  try {
    writePrivately(home.cli, `${JSON.stringify(contexts, null, 2)}\n`);
  } catch (thrown) {
    throw new McpctlError('invalid_config', `${home.cli} cannot be written: ${messageOf(thrown)}`);
  }
}

/** Makes a context, or gives it that server and token, and makes it the current one. @throws McpctlError `invalid_config`. */
export async function enterContext(
  home: Home,
  name: string,
  context: z.infer<typeof contextSchema>,
): Promise<void> {
  const { contexts } = await readContexts(home);
  writeContexts(home, { current: name, contexts: { ...contexts, [name]: context } });
}

/**
 * Lets a worker on this machine publish with the same token. Credentials that are there stay as they are.
 * @returns whether they were written.
 */
export async function writeFirstCredentials(
  home: Home,
  credentials: { mcpdUrl: string; token: string },
): Promise<boolean> {
  try {
    refuseForeign(dirname(home.credentials));
    await writeFile(home.credentials, `${JSON.stringify(credentials, null, 2)}\n`, {
      mode: 0o600,
      flag: 'wx',
    });
    return true;
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIST') return false;
    throw new McpctlError('invalid_config', `${home.credentials} cannot be written: ${messageOf(thrown)}`);
  }
}

function readJson<T>(path: string, schema: z.ZodType<T>): T | null {
  let text: string;
  try {
    text = readPlainFile(path);
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return null;
    throw new McpctlError('invalid_config', `${path} cannot be read: ${messageOf(thrown)}`);
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch (thrown) {
    const why = thrown instanceof z.ZodError ? z.prettifyError(thrown) : 'it is not JSON';
    throw new McpctlError(
      'invalid_config',
      `${path} is damaged: ${why}. Mend it, or remove it and log in again.`,
    );
  }
}
