import { PATIENCE_MS } from '../../input/timeout.ts';
import type { Context } from '../../who/context.ts';
import { amounts } from './progress.ts';
import { readWhole } from './read-whole.ts';
import { sayRestored, sendRestore } from './send-restore.ts';
import type { BackupVerifyOptions } from './options.ts';

const secretsSaid = {
  wrapped: 'as they are sealed',
  portable: 'open with this file',
  none: 'none',
} as const;

export async function runBackupVerify(
  ctx: Context,
  { file, plan, ...opening }: BackupVerifyOptions,
): Promise<void> {
  const read = await readWhole(ctx, file, { ...opening, keep: plan });
  const { header, trailer } = read;
  ctx.out.line(`${file} is whole: ${amounts(trailer.counts)}`);
  ctx.out.line(`Made: ${header.at} by mcpctl ${header.app}, format ${header.format}`);
  ctx.out.line(`Installation: ${header.installation}`);
  ctx.out.line(`Secrets: ${secretsSaid[header.secrets]}`);
  if (header.secrets === 'wrapped' && header.kids.length > 0)
    ctx.out.line(`Needs keys: ${header.kids.join(', ')}`);
  if (!plan) return;
  const asked = { onConflict: 'skip', dryRun: true, enableUsers: false, timeout: PATIENCE_MS } as const;
  sayRestored(ctx, await sendRestore(ctx, read, asked), asked);
}
