import { entryOf, McpctlError } from '../../../core/errors.ts';
import { AlreadySaid, Cancelled } from '../../exit.ts';
import type { Context } from '../../who/context.ts';
import { readWhole } from './read-whole.ts';
import type { RestoreOptions } from './options.ts';
import { sayRestored, sendRestore } from './send-restore.ts';

export async function runRestore(
  ctx: Context,
  { file, passphraseFile, identity, ...how }: RestoreOptions,
): Promise<void> {
  const read = await readWhole(ctx, file, { passphraseFile, identity, keep: true });
  const restored = await sendRestore(ctx, read, how).catch((thrown: unknown) => {
    // Whoever leaves does not stop what was sent: one transaction goes on, and may be done.
    const isUnknown =
      thrown instanceof Cancelled || (thrown instanceof McpctlError && entryOf(thrown.code).status >= 500);
    if (isUnknown && !how.dryRun)
      ctx.out.note(
        'Whether it was restored is not known, all or nothing: restore it again, with --dry-run first.',
      );
    throw thrown;
  });
  if (sayRestored(ctx, restored)) throw new AlreadySaid(3);
}
