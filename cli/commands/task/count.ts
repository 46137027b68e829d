import { Command, Option } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';

const formats = ['table', 'json', 'yaml'] as const;

export interface TaskCountOptions {
  pool?: string | undefined;
  llm?: string | undefined;
  output: (typeof formats)[number];
  headers: boolean;
}

/** @param run tests parse its arguments alone */
export function makeTaskCount(
  ctx: Context,
  run: (options: TaskCountOptions) => Promise<void> = (o) => runTaskCount(ctx, o),
) {
  return new Command('count')
    .summary('how many tasks there are, by how they ended')
    .description(
      'Count your tasks by how they ended; of those that have not, all together. The newest 10,000 are counted.',
    )
    .option('--pool <key>', 'tasks of this pool')
    .option('--llm <name>', 'tasks that asked for this llm')
    .addOption(new Option('-o, --output <format>', 'how to write it').choices(formats).default('table'))
    .option('--no-headers', 'leave the line of headings out')
    .addHelpText('before', 'Examples:\n  mcpctl task count\n  mcpctl task count --llm tiny-chat -o json\n')
    .action((options) => run(options));
}

async function runTaskCount(ctx: Context, { pool, llm, output, headers }: TaskCountOptions): Promise<void> {
  const [{ MOST_COUNTED }, { tableLines }, { yamlOf }, client] = await Promise.all([
    import('../../../core/task/task.ts'),
    import('../../say/table.ts'),
    import('../../say/print.ts'),
    ctx.client(),
  ]);
  const counts = await client.tasks.count({ pool, llm });
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
