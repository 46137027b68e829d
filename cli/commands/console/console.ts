import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import type { ConsoleOptions } from './run-console.ts';

export function makeConsole(ctx: Context, run?: (options: ConsoleOptions) => Promise<void>) {
  return new Command('console')
    .summary('be the client of a project: list its tools, call them by hand')
    .description(
      'Be the MCP client of a project, on a terminal: what is shown is what a model would be. "help" says what can be typed. A single call without a terminal: "mcpctl call".',
    )
    .argument('<project>', 'name of the project')
    .addHelpText(
      'before',
      `Examples:
  mcpctl console demo
`,
    )
    .action(async (project) => {
      if (run) return run({ project });
      const { runConsole } = await import('./run-console.ts');
      return runConsole(ctx, { project });
    });
}
