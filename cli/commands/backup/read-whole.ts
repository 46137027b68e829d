import { MOST_RESTORED_MIB, type BackupHeader, type BackupTrailer } from '../../../core/backup/format.ts';
import { McpctlError } from '../../../core/errors.ts';
import { openBackupFile, openWith, portableKey } from '../../../core/runtime/backup/read-file.ts';
import { Cancelled } from '../../exit.ts';
import type { Context } from '../../who/context.ts';
import type { Opening } from './options.ts';
import { startProgress } from './progress.ts';

export interface ReadBackup {
  header: BackupHeader;
  trailer: BackupTrailer;
  /** All lines; only where they were asked for. */
  text: string;
  /** Of portable secrets: their key, in base64. */
  key: string | undefined;
}

/**
 * A backup in a file, once it was seen to be whole. @param keep whether its lines are wanted: they are in memory then.
 * @throws McpctlError `backup_damaged`, `backup_locked`, `backup_newer`, `usage`
 */
export async function readWhole(
  ctx: Context,
  path: string,
  { keep, ...opening }: Opening & { keep: boolean },
): Promise<ReadBackup> {
  const { signal } = ctx.interrupts;
  const by = await openWith(opening, signal).catch((thrown: unknown) => {
    throw signal.aborted ? new Cancelled() : thrown;
  });
  const { lines, reader, identities } = await openBackupFile(path, by);
  const kept: string[] = [];
  const progress = startProgress(ctx, 'read');
  let bytes = 0;
  try {
    for await (const line of lines) {
      if (signal.aborted) throw new Cancelled();
      bytes += line.length + 1;
      progress.tell(bytes, reader.documents);
      if (!keep) continue;
      if (bytes > MOST_RESTORED_MIB * 1_048_576)
        throw new McpctlError(
          'body_too_large',
          `${path} holds more than ${MOST_RESTORED_MIB} MiB, the most that one restore takes.`,
        );
      kept.push(line, '\n');
    }
    const { header, trailer } = reader.end();
    return { header, trailer, text: kept.join(''), key: await portableKey(header, identities()) };
  } finally {
    progress.done();
  }
}
