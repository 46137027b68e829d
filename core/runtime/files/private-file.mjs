/**
 * Files that only their owner may read, in folders where others may have prepared something. Plain JavaScript:
 * start/boot.mjs needs it before anything is built.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Does nothing where the folder is ours, root's, or not there yet.
 * @throws Error with what to do, when it is another user's, or everybody may write into it: who can may lay links
 *   under the names that are written here, and commands into the configuration that is read here.
 */
export function refuseForeign(folder) {
  const me = process.getuid?.();
  const found = statSync(folder, { throwIfNoEntry: false });
  if (me === undefined || !found) return; // Windows has no such owners
  const { uid, mode } = found;
  if (uid !== me && uid !== 0) {
    throw new Error(
      `${folder} belongs to another user (${uid}, and this runs as ${me}). Set MCPCTL_HOME to a folder of your own, or give this one to you with chown.`,
    );
  }
  if ((mode & 0o002) !== 0) {
    throw new Error(
      `Everybody on this machine may write into ${folder}. Set MCPCTL_HOME to a folder of your own, or run: chmod o-w '${folder}'`,
    );
  }
}

/**
 * Writes `text` into a new file beside `path`, under a name that nobody can foresee: `wx` follows no link.
 * @returns its path, to be moved or linked to where it belongs. @throws Error the file system's, and leaves nothing: of
 *   what a full disk takes a part, and a part of a secret is one.
 */
export function draftBeside(path, text) {
  const draft = `${path}.${randomBytes(9).toString('base64url')}.tmp`;
  try {
    writeFileSync(draft, text, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if (error.code !== 'EEXIST') rmSync(draft, { force: true });
    throw error;
  }
  return draft;
}

/**
 * Replaces the file as a whole, or leaves it as it was; a link of that name is replaced, not followed. Makes its
 * folder where that is missing.
 * @throws Error as `refuseForeign`, or the file system's.
 */
export function writePrivately(path, text) {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  refuseForeign(folder);
  const draft = draftBeside(path, text);
  try {
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}
