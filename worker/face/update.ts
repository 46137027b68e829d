import { realpathSync } from 'node:fs';
import { isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';
import { whoamiSchema } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { ownPackage } from '../../core/runtime/files/own-package.ts';
import { exactVersion } from '../../core/mcp/hosted/package.ts';
import { readOwnCredentials } from '../sources/credentials.ts';
import type { Face } from './face.ts';
import { callServer, understood } from './server-calls.ts';

/**
 * Whether a version is newer than another; of what is no version, no: it becomes part of a command that its reader may paste.
 * @internal
 */
export function isNewer(version: string, than: string): boolean {
  const numbers = (text: string): number[] | undefined =>
    exactVersion.test(text) ? text.split(/[.+-]/, 3).map(Number) : undefined;
  const [a, b] = [numbers(version), numbers(than)];
  if (!a || !b) return false;
  const at = a.findIndex((n, i) => n !== b[i]);
  return at !== -1 && (a[at] ?? 0) > (b[at] ?? 0);
}

/**
 * How this was installed, by where it lies, and so what would bring another version. `isSingle`: it is one file with Node in it.
 * @internal
 */
export function wayToUpdate(file: string, version: string, isSingle = false): string {
  if (/[\\/]node_modules[\\/]/.test(file)) return `npm install -g ${ownName(file)}@${version}`;
  if (/^\/usr\/(lib|share|bin)\//.test(file))
    return `install mcplocal ${version} with your system's packages (apt, dnf)`;
  if (isSingle) return `put the file of ${version} in the place of ${file}`;
  return 'git pull && npm run build, in the folder that you cloned';
}

/** What the package is called where it was installed: the folder that it lies in. */
const ownName = (file: string): string =>
  /.*[\\/]node_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/]+)/.exec(file)?.[1]?.replaceAll('\\', '/') ?? 'mcpctl';

/**
 * Says whether the server has a newer release than this machine, and what would bring it. Nothing is fetched or changed by it, and
 * nobody but the server that was joined is asked. @throws McpctlError `usage`, `server_unreachable`.
 */
export async function update(face: Face): Promise<void> {
  const { credentials } = await readOwnCredentials(face.home);
  if (!credentials)
    throw new McpctlError('usage', 'This machine has joined no server that could say what is newer.');
  const { token } = credentials;
  const server = credentials.mcpdUrl.replace(/\/+$/, '');
  const { json } = await callServer(face.network(), server, { method: 'GET', path: '/api/v1/whoami', token });
  const { version: there } = understood(whoamiSchema.pick({ version: true }), json);
  const here = ownPackage().version;
  const newer = isNewer(there, here);
  const command = wayToUpdate(realpathSync(fileURLToPath(import.meta.url)), there, isSea());
  if (newer) {
    face.say(`Here is ${here}, and the server has ${there}. To get that, when it suits you:`);
    face.say(`  mcplocal drain          (what runs is finished)`);
    face.say(`  ${command}`);
    face.say(`  mcplocal run`);
  } else face.say(`Here is ${here}, and the server has ${there}: there is nothing to do.`);
  face.answer({ here, server: there, newer, ...(newer && { command }) });
}
