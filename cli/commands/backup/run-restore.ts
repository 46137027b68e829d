import { AlreadySaid } from '../../exit.ts';
import type { Context } from '../../who/context.ts';
import { readWhole } from './read-whole.ts';
import type { RestoreOptions } from './options.ts';
import { sayRestored, sendRestore } from './send-restore.ts';

export async function runRestore(
  ctx: Context,
  { file, passphraseFile, identity, ...how }: RestoreOptions,
): Promise<void> {
  const read = await readWhole(ctx, file, { passphraseFile, identity, keep: true });
  if (sayRestored(ctx, await sendRestore(ctx, read, how))) throw new AlreadySaid(3);
}
