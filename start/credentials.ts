import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { McpctlError } from '../core/errors.ts';
import { readPlainFile } from '../core/runtime/files/plain-file.ts';
import { writePrivately } from '../core/runtime/files/private-file.mjs';

/** `$MCPCTL_HOME/credentials`: where the worker and the CLI of this person find their edge. */
export interface Credentials {
  mcpdUrl: string;
  token: string;
}

const schema = z.object({ mcpdUrl: z.string(), token: z.string().min(1) });

/**
 * Keeps the token of an earlier start, or makes one up (32 random bytes), and points it at `url`.
 * @throws McpctlError `setup_failed` when the file is not ours to change: it names a server elsewhere, or
 *   cannot be understood.
 */
export function ensureCredentials(path: string, url: string): Credentials {
  const existing = read(path);
  if (existing && !isLoopback(existing.mcpdUrl)) {
    throw new McpctlError(
      'setup_failed',
      `${path} belongs to the server at ${existing.mcpdUrl}, and npm start would replace it: set MCPCTL_HOME to another folder.`,
    );
  }
  const credentials = {
    mcpdUrl: url,
    token: existing?.token ?? `mcpctl_${randomBytes(32).toString('base64url')}`,
  };
  writeJson(path, credentials);
  return credentials;
}

/** Writes JSON that only its owner may read, whole or not at all. */
export function writeJson(path: string, content: unknown): void {
  writePrivately(path, `${JSON.stringify(content, undefined, 2)}\n`);
}

function read(path: string): Credentials | undefined {
  let text: string;
  try {
    text = readPlainFile(path);
  } catch {
    return undefined; // the first start
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch (thrown) {
    throw new McpctlError(
      'setup_failed',
      `${path} is not { "mcpdUrl", "token" }: mend it, or delete it to get a new token.`,
      { cause: thrown },
    );
  }
}

function isLoopback(url: string): boolean {
  if (!URL.canParse(url)) return true; // leads nowhere, so nothing is lost
  return ['127.0.0.1', 'localhost', '[::1]', '0.0.0.0'].includes(new URL(url).hostname);
}
