import { Command, Option } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import type { UsageOptions } from './run-usage.ts';

const ways = ['user', 'token', 'llm', 'pool'] as const;
const buckets = ['hour', 'day'] as const;
const formats = ['table', 'json', 'yaml', 'csv'] as const;

export function makeUsage(ctx: Context, run?: (options: UsageOptions) => Promise<void>) {
  return new Command('usage')
    .summary('who used how much')
    .description(
      'Add up the tasks that ended: how many, tokens in and out, minutes. One sees their own, and who may view all tasks everybody’s, as far back as the server keeps ended tasks.',
    )
    .addOption(new Option('--by <what>', 'what is told apart').choices(ways).default('user'))
    .option('--hours <number>', 'of the last hours, or of those before --until; 24 unless told')
    .option('--since <instant>', 'from this instant on, instead of --hours')
    .option('--until <instant>', 'before this instant')
    .addOption(new Option('--bucket <size>', 'of each hour or day (of UTC) by itself').choices(buckets))
    .addOption(new Option('-o, --output <format>', 'how to write it').choices(formats).default('table'))
    .option('--no-headers', 'leave out the head of the table')
    .addHelpText(
      'before',
      `Examples:
  mcpctl usage
  mcpctl usage --by llm --hours 168 --bucket day
  mcpctl usage --by token --bucket day --since 2026-11-01T00:00:00Z --until 2026-12-01T00:00:00Z -o csv > november.csv
`,
    )
    .action(async (options) => {
      if (run) return run(options);
      const { runUsage } = await import('./run-usage.ts');
      return runUsage(ctx, options);
    });
}
