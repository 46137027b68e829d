import { rmSync } from 'node:fs';
import { McpctlError } from '../../core/errors.ts';
import { askWorker } from '../local/client.ts';
import { readCredentials } from '../sources/credentials.ts';
import { changeCredentials } from '../sources/own-credentials.ts';
import type { Face } from './face.ts';
import { isOwnCredential } from './join.ts';
import { ended, type JoinedServer } from './server-calls.ts';

interface Own extends JoinedServer {
  path: string;
}

async function ownCredential({ home }: Face): Promise<Own> {
  for (const path of [home.workerCredentials, home.credentials]) {
    const { credentials } = await readCredentials(path);
    if (credentials && isOwnCredential(credentials.token))
      return { path, server: credentials.mcpdUrl.replace(/\/+$/, ''), token: credentials.token };
  }
  throw new McpctlError(
    'usage',
    'This machine has joined no server. A token of yours that it serves with is revoked with "mcpctl token revoke".',
  );
}

/**
 * Ends what `join` made: the credential, what is published with it and its rows, the worker that runs here. config.json stays.
 * @param force also where the server cannot be asked: there the credential then stays good until somebody revokes it.
 * @throws McpctlError `server_unreachable`, `already_running`, `usage` where nothing was joined.
 */
export async function leave(face: Face, asked: { force: boolean }): Promise<void> {
  await ownCredential(face);
  await changeCredentials(face.home, () => leaveAlone(face, asked));
}

async function leaveAlone(face: Face, { force }: { force: boolean }): Promise<void> {
  const own = await ownCredential(face);
  const { home, say } = face;
  let left: Awaited<ReturnType<typeof ended>>;
  let isTold = true;
  try {
    left = await ended(face.network(), own);
  } catch (thrown) {
    if (!(thrown instanceof McpctlError)) throw thrown;
    if (!force)
      throw new McpctlError(
        thrown.code,
        `${thrown.message} Nothing was changed; --force forgets the credential here alone.`,
      );
    left = null;
    isTold = false;
  }
  // The credential last: who was ended in between leaves again.
  for (const path of [home.session, own.path]) rmSync(path, { force: true });
  // Whoever runs here has nothing to serve with any more; what it runs was taken from it by the server.
  const stopped = await askWorker(home.socket, 'drain').then(
    () => true,
    () => false,
  );
  const { llms = [], kept = [] } = left ?? {};
  if (!isTold) say(`${own.server} was not told: end its worker there, with mcpctl worker revoke.`);
  else if (left === null) say(`${own.server} knew this machine no more.`);
  else say(`Left ${own.server}: ${llms.length > 0 ? llms.join(', ') : 'nothing'} deleted there.`);
  if (kept.length > 0) say(`Agents are pinned to ${kept.join(', ')}: those stay, and nobody serves them.`);
  if (stopped) say('The worker that runs here ends.');
  say(
    `Here ${own.path} is deleted; ${home.config} stays, and what is installed as a service (mcplocal service uninstall).`,
  );
  face.answer({ server: own.server, told: isTold, llms, kept, stopped });
}
