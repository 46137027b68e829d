import { Command, Option } from '@commander-js/extra-typings';
import { countOf } from '../../arguments.ts';
import type { Context } from '../../context.ts';
import { formatOption, type Format } from '../../formats.ts';

export interface TaskListOptions {
  status?: string | undefined;
  pool?: string | undefined;
  llm?: string | undefined;
  limit: number;
  output: Format;
  headers: boolean;
}

export function makeTaskList(
  ctx: Context,
  run: (options: TaskListOptions) => Promise<void> = (o) => runTaskList(ctx, o),
) {
  return new Command('list')
    .alias('ls')
    .description('List your tasks, newest first.')
    .option('--status <status>', 'pending, claimed, running, completed, error or cancelled')
    .option('--pool <key>', 'tasks of this pool')
    .option('--llm <name>', 'tasks that asked for this llm')
    .addOption(new Option('--limit <n>', 'most tasks to show').argParser(countOf).default(50))
    .addOption(formatOption())
    .option('--no-headers', 'leave the line of headings out')
    .action((options) => run(options));
}

async function runTaskList(ctx: Context, options: TaskListOptions): Promise<void> {
  const { limit, output, headers, ...filters } = options;
  const [{ listingOf, printListings }, { instantsFor, taskColumns }] = await Promise.all([
    import('../../print.ts'),
    import('../../columns.ts'),
  ]);
  const { items, more } = await (await ctx.client()).tasks.list(filters, limit);
  const columns = taskColumns(instantsFor({ clock: ctx.clock, tty: ctx.terminal.tty.stdout }));
  if (more) ctx.out.note(`There are more tasks than these ${limit}; ask for them with --limit.`);
  await printListings(ctx.out, [listingOf('task', items, columns)], {
    format: output,
    headers,
    single: false,
  });
}
