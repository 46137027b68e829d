import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';

export interface UseContextOptions {
  name: string;
}

export function makeUseContext(
  ctx: Context,
  run: (options: UseContextOptions) => Promise<void> = (o) => runUseContext(ctx, o),
) {
  return new Command('use-context')
    .summary('use another context from now on')
    .description('Make a context the current one: commands use its server and its token from now on.')
    .argument('<name>', 'which one')
    .addHelpText('before', 'Examples:\n  mcpctl config use-context work\n')
    .action((name) => run({ name }));
}

async function runUseContext(ctx: Context, { name }: UseContextOptions): Promise<void> {
  const { contextNamed, readContexts, writeContexts } = await import('../../who/contexts-file.ts');
  const home = await ctx.home();
  const kept = await readContexts(home);
  const { server } = contextNamed(kept, name, home);
  writeContexts(home, { ...kept, current: name });
  ctx.out.note(`Context ${name} is now the current one: ${server}.`);
}
