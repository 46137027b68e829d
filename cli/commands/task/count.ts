import { Command, Option } from '@commander-js/extra-typings';
import { given } from '../../input/audit-filters.ts';
import { taskFilters, whenFilters } from '../../input/task-filters.ts';
import type { Context } from '../../who/context.ts';

const formats = ['table', 'json', 'yaml'] as const;

export interface TaskCountOptions {
  /** By the names of the API's parameters. */
  filters: Readonly<Record<string, string>>;
  output: (typeof formats)[number];
  headers: boolean;
}

/** @param run tests parse its arguments alone */
export function makeTaskCount(
  ctx: Context,
  run: (options: TaskCountOptions) => Promise<void> = (o) => runTaskCount(ctx, o),
) {
  const command = new Command('count')
    .summary('how many tasks there are, by how they ended')
    .description(
      'Count your tasks by how they ended; of those that have not, all together. The newest 10,000 are counted.',
    )
    .option('--pool <key>', 'tasks of this pool')
    .option('--llm <name>', 'tasks that asked for this llm');
  for (const [flags, about] of [...taskFilters, ...whenFilters]) command.option(flags, `tasks ${about}`);
  return command
    .addOption(new Option('-o, --output <format>', 'how to write it').choices(formats).default('table'))
    .option('--no-headers', 'leave the line of headings out')
    .addHelpText('before', 'Examples:\n  mcpctl task count\n  mcpctl task count --llm tiny-chat -o json\n')
    .action(({ output, headers, ...filters }) => run({ output, headers, filters: given(filters) }));
}

async function runTaskCount(ctx: Context, { filters, output, headers }: TaskCountOptions): Promise<void> {
  const [{ MOST_COUNTED }, { tableLines }, { yamlOf }, client] = await Promise.all([
    import('../../../core/task/task.ts'),
    import('../../say/table.ts'),
    import('../../say/print.ts'),
    ctx.client(),
  ]);
  const counts = await client.tasks.count(filters);
  const { out } = ctx;
  if (output === 'json') return out.line(JSON.stringify(counts, null, 2));
  if (output === 'yaml') return out.data(await yamlOf([counts]));
  const { total, ...kinds } = counts;
  const rows = [...Object.entries(kinds), ['total', total] as const];
  const columns = [
    { head: 'STATUS', of: ([kind]: (typeof rows)[number]) => kind },
    { head: 'TASKS', of: ([, count]: (typeof rows)[number]) => count },
  ];
  for (const line of tableLines(rows, columns, { headers, paint: out.paint, fit: 0 })) out.styled(line);
  if (total >= MOST_COUNTED) out.note(`These are the newest ${MOST_COUNTED}; there may be more.`);
}
