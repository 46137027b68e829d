import { Command, Option } from '@commander-js/extra-typings';
import { countOf } from '../../input/arguments.ts';
import { given } from '../../input/audit-filters.ts';
import { taskFilters, whenFilters } from '../../input/task-filters.ts';
import type { Context } from '../../who/context.ts';
import {
  formatOption,
  intervalOption,
  selectorOption,
  sortOption,
  watchOption,
  type WatchLook,
} from '../../say/formats.ts';

export interface TaskListOptions extends WatchLook {
  /** By the names of the API's parameters. */
  filters: Readonly<Record<string, string>>;
  limit: number;
}

export function makeTaskList(
  ctx: Context,
  run: (options: TaskListOptions) => Promise<void> = (o) => runTaskList(ctx, o),
) {
  const command = new Command('list')
    .alias('ls')
    .description('List your tasks, newest first.')
    .option('--status <status>', 'pending, claimed, running, completed, error or cancelled')
    .option('--pool <key>', 'tasks of this pool')
    .option('--llm <name>', 'tasks that asked for this llm');
  for (const [flags, about] of [...taskFilters, ...whenFilters]) command.option(flags, `tasks ${about}`);
  return command
    .addOption(new Option('--limit <n>', 'most tasks to show').argParser(countOf).default(50))
    .addOption(formatOption())
    .option('--no-headers', 'leave the line of headings out')
    .addOption(selectorOption())
    .addOption(sortOption())
    .addOption(watchOption())
    .addOption(intervalOption())
    .addHelpText(
      'before',
      `Examples:
  mcpctl task list --status running
  mcpctl task list --llm tiny-chat -o wide
  mcpctl task list --code backend_timeout --since 2026-11-29T12:00:00Z
  mcpctl task list --watch
`,
    )
    .action(({ output, headers, limit, selector, sortBy, watch, interval, ...filters }) =>
      run({ output, headers, limit, selector, sortBy, watch, interval, filters: given(filters) }),
    );
}

async function runTaskList(ctx: Context, options: TaskListOptions): Promise<void> {
  const { limit, filters } = options;
  const [{ listingOf }, { instantsFor, taskColumns }, { showListings }, { arranged }] = await Promise.all([
    import('../../say/print.ts'),
    import('../../say/columns.ts'),
    import('../../say/show.ts'),
    import('../../say/arrange.ts'),
  ]);
  const client = await ctx.client();
  const columns = taskColumns(instantsFor({ clock: ctx.clock, tty: ctx.terminal.tty.stdout }));
  const ask = async (first: boolean) => {
    const { items, more } = await client.tasks.list(filters, limit);
    if (more && first) ctx.out.note(`There are more tasks than these ${limit}; ask for them with --limit.`);
    return [listingOf('task', arranged(items, options), columns)];
  };
  await showListings(ctx, { ask, options, single: false });
}
