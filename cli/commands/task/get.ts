import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../context.ts';
import { formatOption, type Format } from '../../formats.ts';

export interface TaskGetOptions {
  ids: string[];
  output: Format;
  headers: boolean;
}

export function makeTaskGet(
  ctx: Context,
  run: (options: TaskGetOptions) => Promise<void> = (o) => runTaskGet(ctx, o),
) {
  return new Command('get')
    .description('Show tasks; -o json and yaml carry the request and the answer.')
    .argument('<id...>', 'which ones')
    .addOption(formatOption())
    .option('--no-headers', 'leave the line of headings out')
    .action((ids, options) => run({ ids, ...options }));
}

async function runTaskGet(ctx: Context, { ids, output, headers }: TaskGetOptions): Promise<void> {
  const [{ listingOf, printListings }, { instantsFor, taskColumns }] = await Promise.all([
    import('../../print.ts'),
    import('../../columns.ts'),
  ]);
  const client = await ctx.client();
  const items = await Promise.all(ids.map((id) => client.tasks.get(id)));
  const columns = taskColumns(instantsFor({ clock: ctx.clock, tty: ctx.terminal.tty.stdout }));
  const look = { format: output, headers, single: items.length === 1 };
  await printListings(ctx.out, [listingOf('task', items, columns)], look);
}
