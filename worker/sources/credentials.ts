import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { messageOf } from '../../core/errors.ts';
import { textSchema } from '../../core/names.ts';
import { plainHttpWarning } from '../../core/runtime/network/loopback.ts';
import type { Home } from '../../core/runtime/files/home.ts';
import { readPlainFile } from '../../core/runtime/files/plain-file.ts';
import { jsonFile } from './json-file.ts';

const credentialsSchema = z.looseObject({
  mcpdUrl: z.url({ protocol: /^https?$/ }),
  token: z.string().trim().min(1),
  host: textSchema(64).min(1).optional().catch(undefined),
});
export interface Credentials {
  mcpdUrl: string;
  token: string;
  /** What the machine is called at the server, where that was said as it joined. */
  host?: string;
}

export interface CredentialsFile {
  /** Undefined: there are none to use, and the warnings say why. The worker then publishes nothing. */
  credentials?: Credentials;
  warnings: string[];
}

/** Reads `$MCPCTL_HOME/credentials`, or one like it. Never throws: without credentials a worker warns and does not publish. */
export async function readCredentials(path: string): Promise<CredentialsFile> {
  let text: string;
  let mode: number;
  try {
    text = readPlainFile(path);
    mode = (await stat(path)).mode;
  } catch (thrown) {
    const missing = (thrown as NodeJS.ErrnoException).code === 'ENOENT';
    const why = missing ? `There are no credentials at ${path}` : `${path} cannot be read`;
    return { warnings: [`${why}: nothing is published. Run "mcpctl login" on this machine.`] };
  }
  const warnings =
    (mode & 0o077) === 0 ? [] : [`${path} holds a token and others can read it; run: chmod 600 ${path}`];
  try {
    const { mcpdUrl, token, host } = credentialsSchema.parse(jsonFile(text, path));
    const open = plainHttpWarning(mcpdUrl);
    return {
      credentials: { mcpdUrl, token, ...(host !== undefined && { host }) },
      warnings: open === undefined ? warnings : [...warnings, open],
    };
  } catch (thrown) {
    const what =
      thrown instanceof z.ZodError ? `${path} must be { "mcpdUrl": URL, "token": text }` : messageOf(thrown);
    return { warnings: [...warnings, `${what.replace(/\.$/, '')}; nothing is published.`] };
  }
}

/**
 * Those of this home: the worker's own, which `npm start` writes, where they are for the server that `credentials` name. What
 * somebody has logged in to since then goes before.
 */
export async function readOwnCredentials(
  home: Pick<Home, 'credentials' | 'workerCredentials'>,
): Promise<CredentialsFile> {
  const [of, own] = [await readCredentials(home.credentials), await readCredentials(home.workerCredentials)];
  const isOfServer = own.credentials && own.credentials.mcpdUrl === of.credentials?.mcpdUrl;
  return isOfServer ? own : of;
}
