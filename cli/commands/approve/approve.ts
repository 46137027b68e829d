import { Command } from '@commander-js/extra-typings';
import { collect } from '../../input/arguments.ts';
import type { Context } from '../../who/context.ts';
import type { ApproveOptions } from './run-approve.ts';

export function makeApprove(ctx: Context, run?: (options: ApproveOptions) => Promise<void>) {
  return new Command('approve')
    .summary('approve what an MCP server has as it is now')
    .description(
      'Show which tools, prompts and resources of an MCP server are new, or others than a project has approved, and approve them as they are shown: in one project, or in all of yours that have the server.',
    )
    .argument('<type>', 'server')
    .argument('<name>', 'which server')
    .option('--tool <name>', 'this one alone, by its name at the server; again for more', collect)
    .option('--prompt <name>', 'this prompt alone; again for more', collect)
    .option('--uri <uri>', 'this resource or template alone; again for more', collect)
    .option('--project <name>', 'in this project')
    .option('-y, --yes', 'do not ask', false)
    .addHelpText(
      'before',
      'Examples:\n  mcpctl approve server files\n  mcpctl approve server files --tool read_file --project demo --yes\n',
    )
    .action(async (type, name, options) => {
      if (run) return run({ type, name, ...options });
      const { runApprove } = await import('./run-approve.ts');
      return runApprove(ctx, { type, name, ...options });
    });
}
