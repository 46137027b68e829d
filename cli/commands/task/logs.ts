import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import type { TaskLogsOptions } from './run-logs.ts';

export function makeTaskLogs(ctx: Context, run?: (options: TaskLogsOptions) => Promise<void>) {
  return new Command('logs')
    .summary("show a task's answer as far as it has come")
    .description(
      "Show a task's answer as far as it has come: its text on stdout, the rest on stderr. With --follow it goes on to the end, also when the edge restarts, and leaves with 1 when the task failed.",
    )
    .argument('<id>', 'which one')
    .option('-f, --follow', 'go on until the task has ended', false)
    .addHelpText(
      'before',
      `Examples:
  mcpctl task logs 019a6f3e-0000-7000-8000-000000000000
  mcpctl task logs -f $(mcpctl chat-llm tiny-chat --async --message "Write a poem")
`,
    )
    .action(async (id, { follow }) => {
      const options = { id, follow };
      if (run) return run(options);
      const { runTaskLogs } = await import('./run-logs.ts');
      return runTaskLogs(ctx, options);
    });
}
