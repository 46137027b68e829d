import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';

export interface DeleteContextOptions {
  name: string;
}

export function makeDeleteContext(
  ctx: Context,
  run: (options: DeleteContextOptions) => Promise<void> = (o) => runDeleteContext(ctx, o),
) {
  return new Command('delete-context')
    .summary('forget a context')
    .description('Forget a context and its token. The token itself stays good: see "mcpctl token revoke".')
    .argument('<name>', 'which one')
    .addHelpText('before', 'Examples:\n  mcpctl config delete-context work\n')
    .action((name) => run({ name }));
}

async function runDeleteContext(ctx: Context, { name }: DeleteContextOptions): Promise<void> {
  const { readContexts, withoutContext, writeContexts } = await import('../../who/contexts-file.ts');
  const home = await ctx.home();
  const kept = await readContexts(home);
  writeContexts(home, withoutContext(kept, name, home));
  const was = kept.current === name ? ' It was the current one; choose another with "use-context".' : '';
  ctx.out.note(`Context ${name} is deleted.${was}`);
}
