import type { Actor } from '../../access.ts';
import type { KeyringSource } from '../../runtime/keyring/keyring.ts';
import type { Definition } from '../../resources/define.ts';
import type { Connection } from '../database/connect.ts';
import type { Restored } from '../../backup/calls.ts';
import type { Keepers } from '../declared/keepers.ts';
import { firstAdmin } from './first.ts';
import { needMayRestore, restoreAll, type RestoreWanted } from './restore.ts';
import { backupLines, type BackupWanted } from './snapshot.ts';

/** The whole installation as documents, out and in again. */
export interface Backups {
  /**
   * The lines of a backup, without their line feeds. @throws McpctlError `forbidden`, `too_many_requests`,
   * `backup_key_missing`, all of them before the first line.
   */
  lines(wanted: BackupWanted): AsyncIterableIterator<string>;
  /**
   * All of it or nothing, under the rights of who asks. @throws McpctlError `backup_damaged`, `backup_newer`,
   * `backup_key_missing` before anything is written; `restore_conflict`, and what an apply is refused with.
   */
  restore(wanted: RestoreWanted): Promise<Restored>;
  /** Asked before anything of it is read. @throws McpctlError `forbidden` */
  needMayRestore(actor: Actor): void;
  /**
   * Into an installation that is empty, by whoever is at the machine: what a worker must publish first is left out, and told.
   * @throws McpctlError `restore_conflict` where it is not empty, `user_not_found` before its first release, and as `restore`.
   */
  restoreFirst(wanted: Omit<RestoreWanted, 'actor' | 'isFirst' | 'onConflict'>): Promise<Restored>;
}

export const createBackups = (
  connection: Connection,
  deps: { keyring: KeyringSource; keepers: Keepers; definitions: readonly Definition[] },
): Backups => ({
  lines: (wanted) => backupLines(connection, deps, wanted),
  restore: (wanted) => restoreAll(connection, deps, wanted),
  needMayRestore,
  async restoreFirst(wanted) {
    const actor = await firstAdmin(connection.db);
    return restoreAll(connection, deps, { ...wanted, actor, isFirst: true, onConflict: 'skip' });
  },
});
