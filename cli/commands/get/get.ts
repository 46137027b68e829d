import { Command, Option } from '@commander-js/extra-typings';
import type { Context } from '../../context.ts';
import { formatOption } from '../../formats.ts';
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
    .addHelpText(
      'before',
      `Examples:
  mcpctl get llm                     every llm and its status
  mcpctl get llm --status active -o name
  mcpctl get pool
  mcpctl get task --status running -o wide
  mcpctl get llm/tiny-chat -o json
`,
    )
    .action(async (type, names, { output, headers, limit, ...filters }) => {
      const options = { args: [type, ...names], output, headers, limit, filters };
      if (run) return run(options);
      const { runGet } = await import('./run-get.ts');
      return runGet(ctx, options);
    });
}
