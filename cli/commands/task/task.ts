import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { makeTaskCancel } from './cancel.ts';
import { makeTaskGet } from './get.ts';
import { makeTaskList } from './list.ts';
import { makeTaskLogs } from './logs.ts';
import { makeTaskRetry } from './retry.ts';
import { makeTaskWait } from './wait.ts';

export function makeTask(ctx: Context) {
  return new Command('task')
    .summary('list, show, follow, wait for, cancel and retry tasks')
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
    .addCommand(makeTaskGet(ctx))
    .addCommand(makeTaskLogs(ctx))
    .addCommand(makeTaskCancel(ctx))
    .addCommand(makeTaskRetry(ctx))
    .addCommand(makeTaskWait(ctx));
}
