import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writePrivately } from '../core/runtime/files/private-file.mjs';
import type { Say } from './server.ts';

type Env = Readonly<Record<string, string | undefined>>;

/**
 * The keyring of an installation at home: made at its first start, and never again where it is. Who names keys of their own,
 * or an empty one for none, has those.
 * @returns what the processes find in their environment: the path, and no key.
 */
export function ensureSecretsKey(path: string, env: Env, say: Say): Env {
  if (env['MCPCTL_SECRETS_KEYS_FILE'] !== undefined || env['MCPCTL_SECRETS_KEY'] !== undefined) return {};
  if (!existsSync(path)) {
    writePrivately(path, `${randomBytes(32).toString('base64')}\n`);
    say(
      `Secrets are kept under the key in ${path}: back it up apart from the database, for without it none opens.`,
    );
  }
  return { MCPCTL_SECRETS_KEYS_FILE: path };
}
