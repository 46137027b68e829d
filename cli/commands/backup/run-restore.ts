import { AlreadySaid } from '../../exit.ts';
import { mayBeDone } from '../../net/patience.ts';
import type { Context } from '../../who/context.ts';
import { readWhole } from './read-whole.ts';
import type { RestoreOptions } from './options.ts';
import { sayRestored, sendRestore } from './send-restore.ts';

export async function runRestore(
  ctx: Context,
  { file, passphraseFile, identity, name: names, ...asked }: RestoreOptions,
): Promise<void> {
  const read = await readWhole(ctx, file, { passphraseFile, identity, keep: true });
  // One by itself is what older servers take.
  const name = names?.length === 1 ? names[0] : names;
  const how = { ...asked, ...(name !== undefined && { name }) };
  const restored = await sendRestore(ctx, read, how).catch((thrown: unknown) => {
    if (mayBeDone(thrown) && !how.dryRun)
      ctx.out.note(
        'Whether it was restored is not known, all or nothing: restore it again, with --dry-run first.',
      );
    throw thrown;
  });
  if (sayRestored(ctx, restored, how)) throw new AlreadySaid(3);
}
