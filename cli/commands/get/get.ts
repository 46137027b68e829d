import { Command, Option } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { formatOption, intervalOption, selectorOption, sortOption, watchOption } from '../../say/formats.ts';
import { countOf } from '../../input/arguments.ts';
import type { GetOptions } from './run-get.ts';

export function makeGet(ctx: Context, run?: (options: GetOptions) => Promise<void>) {
  return new Command('get')
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
    .option('--agent <name>', 'prompts of this agent')
    .option('--actor <user>', 'audit: what this user did')
    .option('--as <user>', 'audit: what was done in the name of this user')
    .option('--verb <verb>', 'audit: create, edit, delete …')
    .option('--resource <type>', 'audit: of this type')
    .option('--name <name>', 'audit: of this name or id')
    .option('--outcome <code>', 'audit: ok, or the code of a refusal')
    .option('--request-id <id>', 'audit: of this request')
    .option('--since <instant>', 'audit: from 2026-11-29T12:00:00Z on')
    .option('--until <instant>', 'audit: before this instant')
    .addOption(
      new Option('--limit <n>', 'most tasks or events to show, newest first').argParser(countOf).default(50),
    )
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
  mcpctl get prompt --project support
  mcpctl get audit --actor ada --since 2026-11-01T00:00:00Z
`,
    )
    .action(
      async (type, names, { output, headers, limit, selector, sortBy, watch, interval, ...filters }) => {
        const look = { output, headers, limit, selector, sortBy, watch, interval };
        const options = { args: [type, ...names], ...look, filters: given(filters) };
        if (run) return run(options);
        const { runGet } = await import('./run-get.ts');
        return runGet(ctx, options);
      },
    );
}

/** Those that were said. */
function given(filters: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(filters).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
  );
}
