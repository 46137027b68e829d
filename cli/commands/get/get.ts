import { Command, Option } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { formatOption, intervalOption, selectorOption, sortOption, watchOption } from '../../say/formats.ts';
import { countOf } from '../../input/arguments.ts';
import { auditFilters, given } from '../../input/audit-filters.ts';
import { taskFilters, whenFilters } from '../../input/task-filters.ts';
import { timeoutOption } from '../../input/timeout.ts';
import type { GetOptions } from './run-get.ts';

export function makeGet(ctx: Context, run?: (options: GetOptions) => Promise<void>) {
  const command = new Command('get')
    .summary('list llms, pools, tasks, projects …')
    .description(
      'List llms, pools, tasks, tokens, projects, agents or prompts, or show some of them by name.',
    )
    .argument('<type>', 'llm, pool, task, token, project, agent, prompt … (also llms, l …), or type/name')
    .argument('[name...]', 'only these')
    .addOption(formatOption())
    .option('--no-headers', 'leave the line of headings out')
    .option('--status <status>', 'llms and tasks in this status')
    .option('--kind <kind>', 'llms of this kind: public or virtual')
    .option('--type <type>', 'llms of this type: openai, ollama …')
    .option('--pool <key>', 'llms and tasks of this pool')
    .option('--llm <name>', 'tasks that asked for this llm, agents pinned to it')
    .option('--project <name>', 'prompts and agents of this project')
    .option('--agent <name>', 'prompts of this agent');
  for (const [flags, about] of taskFilters) command.option(flags, `tasks: ${about}`);
  for (const [flags, about] of auditFilters) command.option(flags, `audit: ${about}`);
  for (const [flags, about] of whenFilters) command.option(flags, `tasks, audit: ${about}`);
  return command
    .addOption(
      new Option('--limit <n>', 'most tasks or events to show, newest first').argParser(countOf).default(50),
    )
    .addOption(selectorOption())
    .addOption(sortOption())
    .addOption(watchOption())
    .addOption(intervalOption())
    .addOption(timeoutOption())
    .option('--with-contents', 'a project with its prompts, and its agents with theirs', false)
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
  mcpctl get prompt --project support
  mcpctl get audit --actor ada --since 2026-11-01T00:00:00Z
`,
    )
    .action(
      async (
        type,
        names,
        { output, headers, limit, selector, sortBy, watch, interval, timeout, withContents, ...filters },
      ) => {
        const look = { output, headers, limit, selector, sortBy, watch, interval, timeout, withContents };
        const options = { args: [type, ...names], ...look, filters: given(filters) };
        if (run) return run(options);
        const { runGet } = await import('./run-get.ts');
        return runGet(ctx, options);
      },
    );
}
