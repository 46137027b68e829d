import { Command, Option } from '@commander-js/extra-typings';
import { durationMsOf } from '../../input/arguments.ts';
import type { Context } from '../../who/context.ts';
import type { TaskWaitOptions } from './run-wait.ts';

export function makeTaskWait(ctx: Context, run?: (options: TaskWaitOptions) => Promise<void>) {
  return new Command('wait')
    .description(
      'Wait until tasks have ended. Leaves with 0 when all completed, 1 when one failed or the time was up.',
    )
    .argument('<id...>', 'which ones')
    .addOption(
      new Option('--timeout <time>', 'give up after: 30s, 10m, 1h')
        .argParser(durationMsOf)
        .default(600_000, '10m'),
    )
    .addHelpText(
      'before',
      `Examples:
  mcpctl task wait 019a6f3e-0000-7000-8000-000000000000 --timeout 1h
`,
    )
    .action(async (ids, { timeout }) => {
      const options = { ids, timeoutMs: timeout };
      if (run) return run(options);
      const { runTaskWait } = await import('./run-wait.ts');
      return runTaskWait(ctx, options);
    });
}
