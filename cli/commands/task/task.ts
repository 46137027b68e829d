import { Command, Option } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { makeTaskCount } from './count.ts';
import { makeTaskGet } from './get.ts';
import { makeTaskList } from './list.ts';
import { makeTaskRetry } from './retry.ts';
import { eachOf } from '../../each.ts';
import type { TaskLogsOptions } from './run-logs.ts';
import { durationMsOf } from '../../input/arguments.ts';
import type { TaskWaitOptions } from './run-wait.ts';

export function makeTask(ctx: Context) {
  return new Command('task')
    .summary('list, count, show, follow, wait for, cancel and retry tasks')
    .description('Work with tasks: every inference is one.')
    .addHelpText(
      'before',
      `Examples:
  mcpctl task list --status pending
  mcpctl task logs -f 019a6f3e-0000-7000-8000-000000000000
  mcpctl task wait $(mcpctl chat-llm tiny-chat --async --message "Write a poem")
  mcpctl task cancel 019a6f3e-0000-7000-8000-000000000000
`,
    )
    .addCommand(makeTaskList(ctx))
    .addCommand(makeTaskCount(ctx))
    .addCommand(makeTaskGet(ctx))
    .addCommand(makeTaskLogs(ctx))
    .addCommand(makeTaskCancel(ctx))
    .addCommand(makeTaskRetry(ctx))
    .addCommand(makeTaskWait(ctx));
}

interface TaskCancelOptions {
  ids: string[];
}

/** @internal tests parse its arguments alone */
export function makeTaskCancel(
  ctx: Context,
  run: (options: TaskCancelOptions) => Promise<void> = (o) => runTaskCancel(ctx, o),
) {
  return new Command('cancel')
    .description('Cancel tasks, queued or running. One that has ended already stays as it is.')
    .argument('<id...>', 'which ones')
    .addHelpText('before', 'Examples:\n  mcpctl task cancel 019a6f3e-0000-7000-8000-000000000000\n')
    .action((ids) => run({ ids }));
}

async function runTaskCancel(ctx: Context, { ids }: TaskCancelOptions): Promise<void> {
  const client = await ctx.client();
  await eachOf(ctx, ids, async (id) => {
    const task = await client.tasks.cancel(id);
    ctx.out.line(`task/${id} ${task.view.status ?? 'cancelled'}`);
  });
}

/** @internal tests parse its arguments alone */
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

/** @internal tests parse its arguments alone */
export function makeTaskWait(ctx: Context, run?: (options: TaskWaitOptions) => Promise<void>) {
  return new Command('wait')
    .description(
      'Wait until tasks have ended. Leaves with 0 when all completed, 1 when one failed or the time was up.',
    )
    .argument('<id...>', 'which ones')
    .addOption(
      new Option('--timeout <time>', 'give up after: 30s, 10m, 1h')
        .argParser(durationMsOf)
        .default(600_000, '10m'),
    )
    .addHelpText(
      'before',
      `Examples:
  mcpctl task wait 019a6f3e-0000-7000-8000-000000000000 --timeout 1h
`,
    )
    .action(async (ids, { timeout }) => {
      const options = { ids, timeoutMs: timeout };
      if (run) return run(options);
      const { runTaskWait } = await import('./run-wait.ts');
      return runTaskWait(ctx, options);
    });
}
