import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { makeCurrentContext } from './current-context.ts';
import { makeDeleteContext } from './delete-context.ts';
import { makeGetContexts } from './get-contexts.ts';
import { makeSetContext } from './set-context.ts';
import { makeUseContext } from './use-context.ts';

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
