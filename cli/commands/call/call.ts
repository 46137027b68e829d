import { Command, Option } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import type { CallOptions } from './run-call.ts';

export function makeCall(ctx: Context, run?: (options: CallOptions) => Promise<void>) {
  return new Command('call')
    .summary('call a tool of a project')
    .description(
      'Call a tool of a project as a model would, and print what it says. Without a tool it lists them. The exit code is 5 when the tool says that it failed.',
    )
    .argument('<project>', 'name of the project')
    .argument(
      '[tool...]',
      'as it is listed, alias__tool; then its arguments: key=value each (key=@FILE: what is in the file), or one JSON object, or @FILE',
    )
    .addOption(new Option('-o, --output <format>', 'the whole result').choices(['json'] as const))
    .addHelpText(
      'before',
      `Examples:
  mcpctl call demo
  mcpctl call demo files__read_file path=/srv/docs/a.md
  mcpctl call demo files__search_files '{"path":"/srv","pattern":"*.md"}' -o json
`,
    )
    .action(async (project, [tool, ...given], { output }) => {
      const options = { project, tool, given, json: output === 'json' };
      if (run) return run(options);
      const { runCall } = await import('./run-call.ts');
      return runCall(ctx, options);
    });
}
