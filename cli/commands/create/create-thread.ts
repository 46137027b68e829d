import { Command } from '@commander-js/extra-typings';
import { formatOption } from '../../say/formats.ts';
import type { Context } from '../../who/context.ts';
import type { CreateThreadOptions } from './run-create-thread.ts';

/** A thread has no name, and what was said elsewhere may be its beginning. */
export function makeCreateThread(ctx: Context, run?: (options: CreateThreadOptions) => Promise<void>) {
  return new Command('thread')
    .summary('make a thread')
    .description('Make a thread with an agent: empty, or with what was said elsewhere.')
    .requiredOption('--agent <name>', 'the agent that it is with')
    .option('--title <text>', 'what it is called')
    .option('--from <file>', 'messages as chat completions write them, or what /export wrote; - is stdin')
    .addOption(formatOption())
    .addHelpText(
      'before',
      `Examples:
  mcpctl create thread --agent reviewer --title "The migration"
  mcpctl create thread --agent reviewer --from said.json
`,
    )
    .action(async (options) => {
      if (run) return run(options);
      const { runCreateThread } = await import('./run-create-thread.ts');
      return runCreateThread(ctx, options);
    });
}
