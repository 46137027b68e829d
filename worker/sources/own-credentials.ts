import { mkdirSync, rmSync } from 'node:fs';
import { McpctlError } from '../../core/errors.ts';
import type { Home } from '../../core/runtime/files/home.ts';
import { takeLock } from '../../core/runtime/files/lock.mjs';
import { draftBeside, refuseForeign } from '../../core/runtime/files/private-file.mjs';
import { writing } from './writing.ts';

/** More than any credentials take. */
const ROOM_BYTES = 4_096;

/**
 * Runs what makes or ends the credentials of a home, and nothing else does so at the same time: of two, each would write over what
 * the other was just given, which stayed good at the server, with nobody who has it. That they can be kept is known before.
 * @throws McpctlError `already_running`, `setup_failed` where nothing can be written.
 */
export async function changeCredentials<T>(home: Home, change: () => Promise<T>): Promise<T> {
  const release = ready(home);
  try {
    return await change();
  } finally {
    release();
  }
}

function ready({ root, credentials, credentialsLock }: Home): () => void {
  return writing(root, () => {
    mkdirSync(root, { recursive: true, mode: 0o700 });
    refuseForeign(root);
    const { release, holder } = takeLock(credentialsLock);
    if (!release) throw busy(holder.pid);
    try {
      rmSync(draftBeside(credentials, ' '.repeat(ROOM_BYTES)), { force: true });
      return release;
    } catch (thrown) {
      release();
      throw thrown;
    }
  });
}

const busy = (pid: number): McpctlError =>
  new McpctlError(
    'already_running',
    `Another "mcplocal join" or "mcplocal leave" runs with this home (process ${String(pid)}): wait until it has ended, or end it.`,
  );
