import { Command, Option } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { McpctlError } from '../../../core/errors.ts';
import type { ConsoleOptions } from './run-console.ts';
import type { WatchOptions } from './run-watch.ts';

export function makeConsole(ctx: Context, run?: (options: ConsoleOptions | WatchOptions) => Promise<void>) {
  return new Command('console')
    .summary('be the client of a project, or watch what its clients ask')
    .description(
      'Be the MCP client of a project, on a terminal: what is shown is what a model would be. "help" says what can be typed. A single call without a terminal: "mcpctl call". With --watch see what its clients ask, at whatever edge: a line for each request that is over, who was briefed and why a prompt was chosen. Who may edit the project sees everybody\'s, others their own.',
    )
    .argument('<project>', 'name of the project')
    .option('-w, --watch', 'watch what its clients ask, until Ctrl-C', false)
    .option('--mcp-server <name>', 'with --watch: what is asked of this server')
    .option('--tool <text>', 'with --watch: of tools, prompts and resources whose name has this text')
    .option('--client <text>', 'with --watch: by clients whose name has this text')
    .option('--errors', 'with --watch: what came to no result, or to one that says that it failed', false)
    .option('--bodies', 'with --watch: what was asked and answered, too, as far as you may read it', false)
    .addOption(
      new Option('-o, --output <format>', 'with --watch: a line of JSON each').choices(['json'] as const),
    )
    .addHelpText(
      'before',
      `Examples:
  mcpctl console demo
  mcpctl console demo --watch
  mcpctl console demo --watch --errors --client claude -o json
`,
    )
    .action(async (project, { watch, mcpServer, tool, client, errors, bodies, output }) => {
      if (watch) {
        const wanted = { server: mcpServer, tool, client, errors, bodies };
        const options = { project, ...wanted, json: output === 'json' };
        if (run) return run(options);
        const { runWatch } = await import('./run-watch.ts');
        return runWatch(ctx, options);
      }
      if (mcpServer !== undefined || tool !== undefined || client !== undefined || errors || bodies || output)
        throw new McpctlError(
          'usage',
          'These options are for --watch: say "mcpctl console PROJECT --watch".',
        );
      if (run) return run({ project });
      const { runConsole } = await import('./run-console.ts');
      return runConsole(ctx, { project });
    });
}
