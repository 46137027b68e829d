import { Command } from '@commander-js/extra-typings';
import { McpctlError } from '../../../core/errors.ts';
import type { Context } from '../../who/context.ts';

export function makeCurrentContext(ctx: Context, run: () => Promise<void> = () => runCurrentContext(ctx)) {
  return new Command('current-context')
    .summary('print the name of the current context')
    .description(
      'Print the name of the current context; "mcpctl whoami" says which server and token count now.',
    )
    .addHelpText('before', 'Examples:\n  mcpctl config current-context\n')
    .action(() => run());
}

async function runCurrentContext(ctx: Context): Promise<void> {
  const { readContexts } = await import('../../who/contexts-file.ts');
  const { current } = await readContexts(await ctx.home());
  if (current !== null) return ctx.out.line(current);
  throw new McpctlError(
    'usage',
    'No context is the current one. Choose one with "mcpctl config use-context NAME", or make one with "mcpctl login".',
  );
}
