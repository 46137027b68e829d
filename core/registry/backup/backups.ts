import type { KeyringSource } from '../../runtime/keyring/keyring.ts';
import type { Definition } from '../../resources/define.ts';
import type { Connection } from '../database/connect.ts';
import type { Restored } from '../../backup/calls.ts';
import type { Keepers } from '../declared/keepers.ts';
import { restoreAll, type RestoreWanted } from './restore.ts';
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
}

export const createBackups = (
  connection: Connection,
  deps: { keyring: KeyringSource; keepers: Keepers; definitions: readonly Definition[] },
): Backups => ({
  lines: (wanted) => backupLines(connection, deps, wanted),
  restore: (wanted) => restoreAll(connection, deps, wanted),
});
