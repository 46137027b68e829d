import { Command, Option } from '@commander-js/extra-typings';
import type { Context } from '../../context.ts';
import { formatOption, intervalOption, selectorOption, sortOption, watchOption } from '../../formats.ts';
import { countOf } from '../../arguments.ts';
import type { GetOptions } from './run-get.ts';

export function makeGet(ctx: Context, run?: (options: GetOptions) => Promise<void>) {
  return new Command('get')
    .summary('list llms, pools or tasks')
    .description('List llms, pools or tasks, or show some of them by name.')
    .argument('<type>', 'llm, pool or task (also llms, l …), or type/name')
    .argument('[name...]', 'only these')
    .addOption(formatOption())
    .option('--no-headers', 'leave the line of headings out')
    .option('--status <status>', 'llms and tasks in this status')
    .option('--kind <kind>', 'llms of this kind: public or virtual')
    .option('--type <type>', 'llms of this type: openai, ollama …')
    .option('--pool <key>', 'llms and tasks of this pool')
    .option('--llm <name>', 'tasks that asked for this llm')
    .addOption(new Option('--limit <n>', 'most tasks to show, newest first').argParser(countOf).default(50))
    .addOption(selectorOption())
    .addOption(sortOption())
    .addOption(watchOption())
    .addOption(intervalOption())
    .addHelpText(
      'before',
      `Examples:
  mcpctl get llm                     every llm and its status
  mcpctl get llm --status active -o name
  mcpctl get pool
  mcpctl get task --status running -o wide
  mcpctl get llm/tiny-chat -o json
  mcpctl get llm -l kind=virtual,tier!=fast --sort-by model
  mcpctl get task --watch            what runs, drawn anew as it changes
`,
    )
    .action(async (type, names, { status, kind, type: llmType, pool, llm, ...look }) => {
      const filters = { status, kind, type: llmType, pool, llm };
      const options = { args: [type, ...names], ...look, filters: given(filters) };
      if (run) return run(options);
      const { runGet } = await import('./run-get.ts');
      return runGet(ctx, options);
    });
}

/** Without those that were not said. */
function given<T extends object>(filters: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const said = Object.entries(filters).filter(([, value]) => value !== undefined);
  return Object.fromEntries(said) as { [K in keyof T]?: NonNullable<T[K]> };
}
