import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { formatOption, intervalOption, watchOption, type WatchLook } from '../../say/formats.ts';

export interface TaskGetOptions extends WatchLook {
  ids: string[];
}

export function makeTaskGet(
  ctx: Context,
  run: (options: TaskGetOptions) => Promise<void> = (o) => runTaskGet(ctx, o),
) {
  return new Command('get')
    .description(
      'Show tasks; -o json and yaml carry the request and the answer. With --watch it ends when all of them have.',
    )
    .argument('<id...>', 'which ones')
    .addOption(formatOption())
    .option('--no-headers', 'leave the line of headings out')
    .addOption(watchOption())
    .addOption(intervalOption())
    .addHelpText(
      'before',
      `Examples:
  mcpctl task get 019a6f3e-0000-7000-8000-000000000000 -o json
  mcpctl task get 019a6f3e-0000-7000-8000-000000000000 --watch
`,
    )
    .action((ids, options) => run({ ids, ...options }));
}

async function runTaskGet(ctx: Context, { ids, ...options }: TaskGetOptions): Promise<void> {
  const [{ listingOf }, { instantsFor, taskColumns }, { showListings }, { allEnded }] = await Promise.all([
    import('../../say/print.ts'),
    import('../../say/columns.ts'),
    import('../../say/show.ts'),
    import('../../tasks.ts'),
  ]);
  const client = await ctx.client();
  const columns = taskColumns(instantsFor({ clock: ctx.clock, tty: ctx.terminal.tty.stdout }));
  const ask = async () => [
    listingOf('task', await Promise.all(ids.map((id) => client.tasks.get(id))), columns),
  ];
  await showListings(ctx, { ask, options, single: ids.length === 1, over: allEnded });
}
