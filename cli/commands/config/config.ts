import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { makeGetContexts } from './get-contexts.ts';
import { makeSetContext } from './set-context.ts';
import { McpctlError } from '../../../core/errors.ts';

export function makeConfig(ctx: Context) {
  return new Command('config')
    .summary('the servers that are known here')
    .description('Show and change the contexts of $MCPCTL_HOME/cli.json: a server and a token under a name.')
    .addHelpText(
      'before',
      `Examples:
  mcpctl config get-contexts
  mcpctl config use-context work
`,
    )
    .addCommand(makeGetContexts(ctx))
    .addCommand(makeCurrentContext(ctx))
    .addCommand(makeUseContext(ctx))
    .addCommand(makeSetContext(ctx))
    .addCommand(makeDeleteContext(ctx));
}

function makeCurrentContext(ctx: Context, run: () => Promise<void> = () => runCurrentContext(ctx)) {
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

interface UseContextOptions {
  name: string;
}

/** @internal tests parse its arguments alone */
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

interface DeleteContextOptions {
  name: string;
}

/** @internal tests parse its arguments alone */
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
